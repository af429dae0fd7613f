"""The repository report: what stands in a source tree and what in it deserves a look, over real files.

`scan` reads every file once; the analyses, the ranking and the report are functions of what it found."""
