"""A recipe that runs as it is, for ``edgekit distill --example``."""

from __future__ import annotations

EXAMPLE = """\
# A text tower of 40 % of the packaged starter's parameters, learnt from texts alone: edgekit data fetch emoji-names
# Save this as recipe.yaml, then: edgekit distill recipe.yaml -o student.edge
# Paths are relative to this file; a name stands for a bundle of edgekit or a set of 'edgekit data list'.

teacher: starter            # a bundle, or any source of 'edgekit convert', such as open_clip:NAME:PRETRAINED

data:
  texts: emoji-names        # a fetched set, or a file with one text a line: the more like your labels the better
  # images: camera/         # a folder, CSV, WebDataset shards or a fetched set: for an image tower
  # labelled: 0.1           # share of the images whose texts may be used; the others only have the teacher
  # views: 4                # augmented views of each image, which the teacher embeds once

student:
  text: {arch: static, vocabulary: 6000}    # also transformer, open_clip:NAME, inherit, teacher
  # image: {arch: conv, size: 64}           # also hybrid, vit-tiny, timm:NAME …; a tower left out stays the teacher's
  space: teacher            # the image tower stays, and so does an index of photos

losses:                     # weights
  feature: 1                # near the teacher's embedding
  relation: 0.2             # and as near to the other texts as the teacher's

training:
  steps: 600                # a minute on two cores; more texts deserve more
  batch: 256
  rate: 5e-3
"""
