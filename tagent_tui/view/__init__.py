"""From a run's state to what the screens say: rows, sentences, geometry. Pure: no Textual, no store reads, no clock.

Apart from the widgets so that what a person is told is computed and tested without a terminal. `now` is always an argument.
"""
