"""The public end of the tunnel: takes deliveries in, keeps them until they are answered, and sends them down."""
