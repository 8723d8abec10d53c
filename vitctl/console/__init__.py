"""The terminal side of a command: streams, display, signals, and the flags all commands share.

streams    stdout belongs to the answer; references arrive on stdin
text       names from data made safe to show
display    events -> stderr, as a rich live view or plain lines
training   the picture of a run; curve draws in characters, live keeps it at the bottom
signals    first signal: finish and save; second: stop now
overrides  --config FILE.toml and --set key=value onto a typed Config
session    what a command has at hand: store, inputs, delivery of the answer
verb       a function with the shared flags added, ready for typer
failure    an exception -> one sentence, a hint, an exit code
"""
