for (const button of navigator.clipboard ? document.querySelectorAll("pre button") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => button.textContent = "copy", 2000);
  });
}
