// A worker, or a service worker, of the page's own origin.
const learn = (url) => fetch(url).then((answer) => answer.text()).catch(() => "");

onmessage = async ({ data, ports }) => {
  let learned = await learn(data);
  try {
    importScripts(data);
    learned += "imported";
  } catch {
    // What it was is not told.
  }
  (ports[0] || self).postMessage(learned);
};
