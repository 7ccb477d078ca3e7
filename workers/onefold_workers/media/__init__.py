"""What media files say about themselves: photos, audio, video, PDF, mails, text.

Readers know one family of formats each; `reading.py` chooses among them by a file's first bytes. They parse what
strangers sent, so `bounded.py` runs them in a process of its own (`child.py`) that may take only so much memory and
time. Start reading in `facts.py`.
"""
