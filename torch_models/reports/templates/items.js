const form = document.querySelector(".items form");
const items = [...document.querySelectorAll(".items article")];
const filters = [...form.querySelectorAll("select")];
function show() {
  const words = form.search.value.toLowerCase().split(/\s+/);
  const chosen = filters.filter(filter => filter.value !== "");
  for (const item of items) {
    const text = item.textContent.toLowerCase();
    item.hidden = words.some(word => !text.includes(word))
      || chosen.some(filter => !item.dataset[filter.name].split("|").includes(filter.value));
  }
  for (const section of document.querySelectorAll(".items section"))
    section.hidden = !section.querySelector("article:not([hidden])");
  const shown = items.filter(item => !item.hidden).length;
  form.querySelector("output").textContent = `${shown} of ${items.length} ${form.dataset.noun}`;
}
form.hidden = false;
form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.closest("[hidden]")) { form.reset(); show(); target.scrollIntoView(); }
});
show();
