"""The pages of the dashboard, in the order of the navigation; each module holds the pages of one subject."""

from freshet.dashboard.pages import (
    contexts_page,
    interests_page,
    overview_page,
    playground_page,
    release_pages,
    reports_page,
    review_pages,
    run_pages,
)
from freshet.dashboard.visit import Act, Page

PAGES: tuple[Page, ...] = (
    *overview_page.PAGES,
    *playground_page.PAGES,
    *interests_page.PAGES,
    *contexts_page.PAGES,
    *run_pages.PAGES,
    *release_pages.PAGES,
    *review_pages.PAGES,
    *reports_page.PAGES,
)
ACTS: tuple[Act, ...] = (*release_pages.ACTS, *review_pages.ACTS)
