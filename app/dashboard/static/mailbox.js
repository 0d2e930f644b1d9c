// Keeps the list of the mailbox fresh and shows times as they are here. Nothing else runs.
"use strict";

const list = document.getElementById("list");

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const isToday = moment.toDateString() === new Date().toDateString();
    time.title = moment.toString();
    time.textContent = isToday ? moment.toLocaleTimeString() : moment.toLocaleString();
  }
}

async function refresh() {
  const headers = { "If-None-Match": `"${list.dataset.state}"` };
  const response = await fetch(list.dataset.refresh, { headers, cache: "no-store" });
  if (response.status !== 200) return;
  list.innerHTML = await response.text();
  list.dataset.state = response.headers.get("ETag").slice(1, -1);
  showLocalTimes(list);
}

async function follow() {
  if (!document.hidden) await refresh().catch(() => undefined); // the server may be restarting
  setTimeout(follow, 500);
}

showLocalTimes(document);
if (list !== null) follow();
