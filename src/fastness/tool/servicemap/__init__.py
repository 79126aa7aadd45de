"""The map of a service: which endpoints pass through what, and reach which database, cache, upstream, queue or file.

`survey` draws it up from the static model, `filters` narrows it down; `text`, `document`, `mermaid`, `svg` and `page` show it.
The layers, lowest first: `model` is values, `contacts` knows libraries, `walk` looks at one function, `survey` at all.
"""
