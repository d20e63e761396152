"""The dashboard: pages that show a person whether the system is fresh, healthy and worth its money.

It is a Starlette app (`dashboard_app.make_app`) of pages that Jinja renders and htmx brings to life; there is
no build step, and nothing is loaded from elsewhere. `freshet serve` answers it below `/dashboard/`, in a
process of its own (`freshet.http.companion`), so that no page slows a request of the API.

How a page is added:

1. A module in `pages/` with a function that is given a `Visit` and returns the values that its template names
   (or a `Response`, for what is no HTML). It runs in a thread. What it raises as a `FreshetError` is shown on
   the page, with its hint, below the same navigation; so don't catch it.

       def things(visit: Visit) -> Values:
           number = visit.number("release")          # of the path or the query; refuses what is none
           return {"things": visit.cached("things", number, lambda: expensive(visit.ws, number))}

   `visit.explorer` has the release that serves, opened once, and previews of its answers (`explorer.py`).

2. A template in `templates/` that begins `{% extends "base.html" %}` and fills the blocks `title` and `main`.
   `link("runs/00001")` makes a path that holds behind any prefix of a proxy; every text is escaped, and
   control characters are made visible. Forms that act say `{{ csrf() }}` within. A template that doesn't
   extend the base is a fragment, for htmx to put somewhere.

3. An entry in the module's `PAGES`, which `pages/__init__.py` lists:
   `Page("things/{release}", "things.html", things, nav="Things")`; `nav` is its name in the navigation.

4. What changes something is an `Act`, listed in `ACTS`: it is only done for a POST from a page of this very
   server, with the session's token, by who holds a key of its scope; it returns where to go then, and what to
   say there.

Rules for pages: no style attributes and no scripts within (the Content-Security-Policy forbids them), tables
have captions and header cells, meaning is never told by colour alone, everything works by keyboard and at 360
pixels, and lists are paged.
"""
