"""CTC recognisers: the wav2vec 2.0 family and Parakeet-CTC, their heads and their languages.

Knows encoders with a CTC head. Does not know decoders that attend to an encoder.
"""
