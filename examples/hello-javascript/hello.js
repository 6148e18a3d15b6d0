addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  const text = `Hello from JavaScript, to whoever asked for ${pathname}!\n`;
  event.respondWith(new Response(text, { headers: { "content-type": "text/plain" } }));
});
