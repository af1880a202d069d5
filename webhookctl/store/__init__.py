"""The disk shell: the history, the fixture folder and the project's state folder."""
