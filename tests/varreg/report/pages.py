"""What the tests of the page in a browser share."""


def settle(page):
    """Until every sprite that a picture wants is decoded."""
    page.locator("canvas[aria-busy]").first.wait_for(state="detached")
