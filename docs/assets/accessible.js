// What axe-core finds in the theme: parts without a name, and what scrolls and no key reaches.
document$.subscribe(() => setTimeout(() => {
  document.querySelectorAll(".md-search[role=dialog]").forEach(part => part.setAttribute("aria-label", "Search"));
  document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach(part => part.setAttribute("tabindex", "0"));
  document.querySelectorAll(".md-code__nav").forEach(
    (part, index) => part.setAttribute("aria-label", `Code ${index + 1}`));
}));
