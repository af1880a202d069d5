"""The public end of the tunnel: takes deliveries in, keeps them until they are answered, and sends them down.

Must not know the client's side (`net`) or how anything is shown, and never dials out.
"""
