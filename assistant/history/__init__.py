"""Conversations kept on this machine: turns in one SQLite file, pictures and sound in a folder beside it.

    with History(folder) as history:
        talk = history.create()
        history.append(talk.id, NewTurn("user", "What is this?", media=(NewMedia(png, "image/png"),)))
        with history.stream(talk.id) as reply:
            for event in session.generate(): reply.add(event.text)
            reply.finish("complete")

Nothing in here knows of Qt; one `History` may be used from several threads.
"""
