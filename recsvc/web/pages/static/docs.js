"use strict";
window.SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0,
  presets: [window.SwaggerUIBundle.presets.apis], layout: "BaseLayout",
});
