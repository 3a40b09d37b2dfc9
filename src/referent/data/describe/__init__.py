"""Phrases for the annotations of any COCO file, each true of its targets alone.

The way of a picture: `facts` measures its objects from masks and pixels; `nouns` says what each may be called;
`predicates` and `relations` say of every object whether a description is true, false or unsure; `meanings` puts nouns
and descriptions together and keeps those whose truth is certain of every object, `absences` those that are certainly
false of all; `selection` draws some of them and `wording` puts them into words. `run` does this for a whole file.
"""
