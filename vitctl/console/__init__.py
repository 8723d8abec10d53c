"""The terminal side of a command: streams, display, and the flags all commands share.

streams        stdout belongs to the answer; references arrive on stdin
text           names from data made safe to show; plain styles
tree           nested values as indented lines
table          aligned columns: fitted to a terminal, one line a row elsewhere
curve          a curve drawn in characters
native_output  what C++ libraries write to stderr: caught, shown once, counted
live           a live region at the bottom of a terminal
bars           progress bars, gone when the work is done
display        events -> stderr, as a rich live view or plain lines
training_view  the picture of a training run on a terminal
flag           a flag's help and the key of its setting, in one line
flags          the flags that several commands have
shared_flags   the flags that all commands have, or all of a kind
verb           a function with the shared flags added, ready for typer
guarded        a command that runs: display, signals, processes, exit code
session        what a command has at hand: store, inputs, delivery of the answer
multiprocess   several processes at the command line: connection, output, end
help           help pages: the example first, then the options in panels
completion     values that a shell offers: models, kinds, settings, artifacts
completion_script  what bash runs for it
habits         options as other trainers call them, for a hint
failure        an exception -> one sentence, a hint, an exit code
"""
