"""The pages of the dashboard, in the order of the navigation; each module holds the pages of one subject."""

from freshet.dashboard.pages import (
    contexts_page,
    interests_page,
    overview_page,
    playground_page,
    reports_page,
)
from freshet.dashboard.visit import Act, Page

PAGES: tuple[Page, ...] = (
    *overview_page.PAGES,
    *playground_page.PAGES,
    *interests_page.PAGES,
    *contexts_page.PAGES,
    *reports_page.PAGES,
)
ACTS: tuple[Act, ...] = ()
