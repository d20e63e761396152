"""The pages of the dashboard, in the order of the navigation; each module holds the pages of one subject."""

from freshet.dashboard.pages import overview_page, release_pages, review_pages, run_pages
from freshet.dashboard.visit import Act, Page

PAGES: tuple[Page, ...] = (
    *overview_page.PAGES,
    *run_pages.PAGES,
    *release_pages.PAGES,
    *review_pages.PAGES,
)
ACTS: tuple[Act, ...] = (*release_pages.ACTS, *review_pages.ACTS)
