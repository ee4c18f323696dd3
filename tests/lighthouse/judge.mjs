// Judges pages with Lighthouse as it is by default, a phone on a slow line, in one Chromium whose path is given. It reads a
// line `{url, cookies, runs}` of JSON for each page, and answers it with a line: `{runs: what each found}`, or `{failed: why}`.
import { createInterface } from "node:readline";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

// What a score was lost by: audits that count and are not whole, and the first things that each found.
const lostBy = (report, category) =>
  category.auditRefs
    .map(({ id, weight }) => ({ weight, audit: report.audits[id] }))
    .filter(({ weight, audit }) => weight > 0 && audit.score !== null && audit.score < 1)
    .map(({ audit }) => {
      const found = (audit.details?.items ?? []).map((item) => item.node?.snippet ?? item.description ?? item.source);
      return [audit.id, audit.displayValue, ...found.slice(0, 5)].filter(Boolean).join(": ");
    });

// A run without a picture of the whole page, which no score hangs on. Where Lighthouse missed the beginning or the first
// paint of a page it says so instead of judging, and that one should run it again.
const MISSED = ["NO_NAVSTART", "NO_FCP", "NO_LCP"];
const run = async (browser, { url, cookies }, again = 2) => {
  // Every run is a visit by somebody whose browser knows nothing of the site but who they are.
  const context = await browser.createBrowserContext();
  try {
    await context.setCookie(...cookies);
    const { lhr } = await lighthouse(url, { logLevel: "error", disableFullPageScreenshot: true }, undefined, await context.newPage());
    if (again && MISSED.includes(lhr.runtimeError?.code)) return await run(browser, { url, cookies }, again - 1);
    if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
    if (lhr.finalDisplayedUrl !== url) throw new Error(`this led to ${lhr.finalDisplayedUrl}`);
    const categories = Object.values(lhr.categories);
    return Object.fromEntries(
      categories.map((category) => [category.id, { score: category.score * 100, lost: lostBy(lhr, category) }]),
    );
  } finally {
    await context.close();
  }
};

const browser = await puppeteer.launch({
  executablePath: process.argv[2],
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const answer = { runs: [] };
    try {
      while (answer.runs.length < asked.runs) answer.runs.push(await run(browser, asked));
    } catch (error) {
      answer.failed = error.message;
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
