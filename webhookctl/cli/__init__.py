"""The command line: one file a command. Options in, exit code out; what happens in between is wiring's.

Must not import the network; commands import what they need inside their function.
"""
