"""What each row teaches: the text that its labels are made from.

Knows styles of labels and the base's own transcripts. Does not know batches.
"""
