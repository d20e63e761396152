"""The pages of the dashboard, in the order of the navigation; each module holds the pages of one subject."""

from freshet.dashboard.pages import overview_page
from freshet.dashboard.visit import Act, Page

PAGES: tuple[Page, ...] = (*overview_page.PAGES,)
ACTS: tuple[Act, ...] = ()
