"""British to American spellings for the ``whisper-en`` profile.

Knows regular families of spellings, written as stems and endings, and a list of single words.
Does not know pronunciation or context: a word is here only where both spellings are the same word.

The Whisper normaliser takes such a map as an argument and transformers ships none, so this is our own list,
built from families (``colour`` + ``ed`` …) rather than copied; it is therefore shorter than the one behind
published Whisper figures, and profile ``whisper-en`` has its own version.
"""

from __future__ import annotations

import functools

_OUR = (
    "arbour ardour armour behaviour clamour colour demeanour discolour dishonour endeavour favour fervour "
    "flavour glamour harbour honour humour labour misdemeanour neighbour odour parlour rancour rigour rumour "
    "saviour savour splendour succour tumour valour vapour vigour candour"
)
_OUR_ENDINGS = ("", "s", "ed", "ing", "able", "ably", "ful", "fully", "less", "er", "ers", "ite", "ites",
                "hood", "hoods", "ly", "al", "ally")  # fmt: skip

_ISE = (
    "agon antagon apolog author brutal cannibal canon capital categor central character civil colon "
    "commercial computer critic crystall custom decentral democrat digit dramat econom emphas energ "
    "equal fantas fertil final formal general global harmon hospital human hypnot ideal immun "
    "industrial initial international legal liberal local magnet marginal maxim mechan memor minim "
    "mobil modern monopol national natural neutral normal optim organ ostrac patron penal personal "
    "philosoph polar popular priorit privat public random rational real recogn reorgan revolution satir "
    "scrutin sensit social special stabil standard steril summar symbol sympath synchron synthes terror "
    "theor traumat util vandal victim visual vocal"
)
_ISE_ENDINGS = ("ise", "ises", "ised", "ising", "iser", "isers", "isation", "isations")

_YSE = ("anal", "paral", "catal", "breathal", "dial", "hydrol")
_YSE_ENDINGS = ("yse", "ysed", "ysing", "yser", "ysers")

_RE = ("cent", "fib", "lit", "kilomet", "centimet", "millimet", "met", "theat", "calib", "lust", "spect",
       "somb", "sab", "meag", "mit", "millilit", "amphitheat", "epicent")  # fmt: skip

_DOUBLE_L = (
    "bevel cancel channel chisel counsel dial duel enamel equal fuel funnel gravel grovel initial jewel "
    "label level libel marshal marvel model panel pedal pencil quarrel revel rival shovel shrivel "
    "signal snivel spiral stencil swivel total towel travel tunnel unravel"
)
_DOUBLE_L_ENDINGS = ("ed", "ing", "er", "ers")

_DIGRAPHS = (
    "anaemia=anemia anaemic=anemic anaesthetic=anesthetic anaesthetist=anesthetist archaeology=archeology "
    "caesarean=cesarean diarrhoea=diarrhea encyclopaedia=encyclopedia faeces=feces foetus=fetus foetal=fetal "
    "gynaecology=gynecology gynaecologist=gynecologist haemoglobin=hemoglobin haemorrhage=hemorrhage "
    "leukaemia=leukemia manoeuvre=maneuver manoeuvres=maneuvers manoeuvred=maneuvered mediaeval=medieval "
    "oesophagus=esophagus oestrogen=estrogen orthopaedic=orthopedic paediatric=pediatric "
    "paediatrician=pediatrician palaeontology=paleontology aesthetic=esthetic aeon=eon"
)
_WORDS = (
    "aeroplane=airplane aeroplanes=airplanes aluminium=aluminum analogue=analog artefact=artifact "
    "artefacts=artifacts axe=ax catalogue=catalog catalogues=catalogs cheque=check cheques=checks "
    "chilli=chili cosy=cozy cosier=cozier councillor=councilor councillors=councilors counsellor=counselor "
    "counsellors=counselors defence=defense defences=defenses dialogue=dialog dialogues=dialogs disc=disk "
    "discs=disks draught=draft draughts=drafts enrol=enroll enrolment=enrollment fulfil=fulfill "
    "fulfils=fulfills fulfilment=fulfillment gaol=jail grey=gray greyer=grayer greys=grays "
    "instalment=installment instalments=installments jewellery=jewelry judgement=judgment "
    "judgements=judgments kerb=curb kerbs=curbs licence=license licences=licenses liquorice=licorice "
    "marvellous=marvelous mould=mold moulds=molds mouldy=moldy moustache=mustache moustaches=mustaches "
    "offence=offense offences=offenses omelette=omelet plough=plow ploughs=plows ploughed=plowed "
    "practise=practice practised=practiced practising=practicing practises=practices pretence=pretense "
    "programme=program programmes=programs pyjamas=pajamas sceptic=skeptic sceptical=skeptical "
    "scepticism=skepticism skilful=skillful smoulder=smolder smouldering=smoldering storey=story "
    "sulphur=sulfur traveller=traveler travellers=travelers tyre=tire tyres=tires whisky=whiskey "
    "wilful=willful woollen=woolen yoghurt=yogurt mum=mom mums=moms ageing=aging speciality=specialty"
)


@functools.cache
def american_spellings() -> dict[str, str]:
    """Map from a British spelling, lower case, to the American one."""
    pairs: dict[str, str] = {}
    for stem in _OUR.split():
        pairs |= {stem + ending: stem[:-3] + "or" + ending for ending in _OUR_ENDINGS}
    for stem in _ISE.split():
        pairs |= {stem + ending: stem + ending.replace("is", "iz", 1) for ending in _ISE_ENDINGS}
    for stem in _YSE:
        pairs |= {stem + ending: stem + ending.replace("ys", "yz", 1) for ending in _YSE_ENDINGS}
    for stem in _RE:
        pairs |= {f"{stem}re": f"{stem}er", f"{stem}res": f"{stem}ers"}
    for stem in _DOUBLE_L.split():
        pairs |= {f"{stem}l{ending}": stem + ending for ending in _DOUBLE_L_ENDINGS}
    for pair in f"{_DIGRAPHS} {_WORDS}".split():
        british, american = pair.split("=")
        pairs[british] = american
    return pairs
