"""The only place where real parts are plugged together: configuration, disk, network and engine.

Commands call this and show what it returns; nothing here prints or exits.
"""
