"""The report of a fit: stored in its file (`stored`), printed in a terminal (`terminal`), written as a web page (`html`).

`wording` has what terminal and page show alike, `figures` draws the pictures of the page, and report.html.jinja is the page.
"""
