"""Made pictures: coloured solids on a plane, with exact masks and phrases that are surely true. numpy only.

`world` says what there is, `sampling` draws it, `tracing` and `shading` render it, `relations` and `meanings` know
what is true of it, `wording` says it, `clips` lets it move, and the rest writes it down.
"""
