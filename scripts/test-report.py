"""Opens report.html in chromium, as test-report.sh asks, and prints what is there as JSON. Runs in the root of setup-browser.sh."""

import base64
import json
import os
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PAGE = "file:///mnt/report.html"
WIDE, NARROW = 1280, 400

# What the page shows: its numbers, and what to ask scapd top.
STATE = """
const cards = {};
for (const number of document.querySelectorAll('[data-number]')) cards[number.dataset.number] = Number(number.dataset.value);
const calls = [...document.querySelectorAll('#calls-table tbody tr')].map((row) => {
    const value = (at) => Number(row.cells[at].dataset.value);
    return [JSON.parse(row.dataset.key)[0], value(2), value(3), value(1)];
});
return { cards, calls, command: document.getElementById('command').textContent };
"""
# Elements that the page's own scripts do not make.
FOREIGN = "return document.querySelectorAll('img, iframe, object, embed, link, form, body script:not([id]) ~ script:not([id]) ~ script').length"
# The pixels of the charts, to see whether they change.
CHARTS = """
return [...document.querySelectorAll('.chart canvas')].map((canvas) => canvas.width * canvas.height === 0 ? '' : canvas.toDataURL());
"""


def driver():
    os.environ.update(NO_PROXY="localhost,127.0.0.1", HOME="/tmp")
    options = webdriver.ChromeOptions()
    # The root has no users and no sandbox of its own.
    for option in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]:
        options.add_argument(option)
    options.binary_location = "/usr/lib/chromium/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def emulate(browser, width, scheme, height=1000, media=""):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def picture(browser, name, width, scheme, height=None, start="top", media=""):
    """Writes a picture of the page from an element on, as it is at that width."""
    emulate(browser, width, scheme, media=media)
    full = browser.execute_script("return document.documentElement.scrollHeight")
    emulate(browser, width, scheme, full, media)
    time.sleep(0.3)
    top = "const at = document.getElementById(arguments[0]); return at ? at.getBoundingClientRect().top + scrollY : 0"
    y = browser.execute_script(top, start)
    clip = {"x": 0, "y": y, "width": width, "height": min(full - y, height or full), "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})
    with open(f"pictures/{name}.png", "wb") as out:
        out.write(base64.b64decode(shot["data"]))
    emulate(browser, width, scheme)


def requests(browser):
    """Returns the addresses that were asked for, apart from the page's own."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return [url for url in found if url != PAGE and not url.startswith("data:")]


def main():
    browser = driver()
    said = {}
    emulate(browser, WIDE, "light")
    browser.get(PAGE)
    title = browser.title
    browser.find_element(By.CSS_SELECTOR, "html[data-ready]")
    said["whole"] = browser.execute_script(STATE)
    before = browser.execute_script(CHARTS)

    # Tooltips show hostile names, too.
    mouse = ActionChains(browser)
    for place in ["timeline", "tree", "map", "peers", "heat"]:
        chart = browser.find_element(By.ID, place)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
        width, height = chart.size["width"], chart.size["height"]
        for across in range(-4, 5):
            for down in (-0.3, 0, 0.3):
                mouse.move_to_element_with_offset(chart, int(across * width / 10), int(down * min(height, 600)))
        mouse.perform()
    said["tooltips"] = len(browser.find_elements(By.CSS_SELECTOR, ".tip"))

    timeline = browser.find_element(By.ID, "timeline")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", timeline)
    width = timeline.size["width"]
    ActionChains(browser).move_to_element_with_offset(timeline, int(-width * 0.1), 0).click_and_hold().move_by_offset(
        int(width * 0.1), 0
    ).move_by_offset(int(width * 0.1), 0).release().perform()
    time.sleep(0.5)
    said["dragged"] = browser.execute_script(STATE)
    after = browser.execute_script(CHARTS)
    # The timeline shows what is selected, the others the selected time; that of two peers is always the same.
    said["charts_follow"] = [a != b for a, b in zip(before, after)][:5] == [True] * 5
    # The mouse is elsewhere.
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    picture(browser, "report", WIDE, "light", 1900)

    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    said["again"] = browser.execute_script(STATE)
    handle = browser.find_element(By.ID, "from")
    handle.send_keys(*[Keys.ARROW_RIGHT] * 12)
    browser.find_element(By.ID, "to").send_keys(*[Keys.ARROW_LEFT] * 5)
    said["keyed"] = browser.execute_script(STATE)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)

    text = browser.execute_script("return document.documentElement.textContent")
    said["has_names"] = all(name in text for name in ["<img src=x onerror=", "</script><script>"])
    said["foreign"] = browser.execute_script(FOREIGN)
    said["has_run"] = browser.title != title or browser.title == "run"
    picture(browser, "report-wide", WIDE, "light")
    picture(browser, "report-dark", WIDE, "dark", 2000, "processes")
    picture(browser, "report-narrow", NARROW, "light", 2000)
    picture(browser, "report-print", 800, "dark", media="print")
    emulate(browser, WIDE, "dark", media="print")
    style = "return getComputedStyle(document.body).backgroundColor"
    hidden = "return [...document.querySelectorAll('main section')].filter((part) => part.offsetHeight === 0).length"
    said["prints"] = browser.execute_script(style) == "rgb(255, 255, 255)" and browser.execute_script(hidden) == 0
    emulate(browser, 800, "light")
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    with open("pictures/report.pdf", "wb") as out:
        out.write(base64.b64decode(pdf["data"]))
    said["requests"] = len(requests(browser))
    said["errors"] = sorted({entry["message"] for entry in browser.get_log("browser")})[:5]
    browser.quit()
    print(json.dumps(said))


main()
