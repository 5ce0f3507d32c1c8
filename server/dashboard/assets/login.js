// A link may carry a token behind the #, which browsers send to nobody: it goes into the form, and out of the address.
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.getElementById("login").requestSubmit();
}
