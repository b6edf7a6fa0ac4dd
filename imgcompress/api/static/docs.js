// Show the OpenAPI document of this service. No request leaves it: validatorUrl would send one.
const root = document.getElementById("swagger-ui");

// Leave the fields of a form empty. Swagger UI would fill every optional one in with something that
// fits its type, and send it; only for these fields it asks for a sample of the content type false.
const EmptyForms = (system) => {
  const sample = system.fn.getSampleSchema;
  return {
    fn: {
      getSampleSchema: (schema, contentType, ...rest) =>
        contentType === false ? "" : sample(schema, contentType, ...rest),
    },
  };
};

// Show the path of a call as text: Swagger UI has a link to the call there, within the button that
// opens the call and puts its link into the address bar.
const PathsWithoutLinks = ({ React }) => {
  const Text = ({ text }) => React.createElement("span", null, text);
  return {
    wrapComponents: {
      OperationSummaryPath: (Path) => (props) => React.createElement(Path, {
        ...props,
        getComponent: (name, ...rest) =>
          name === "DeepLink" ? Text : props.getComponent(name, ...rest),
      }),
    },
  };
};

// Swagger UI is dark under this class, and not by what the reader's system prefers.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

SwaggerUIBundle({
  domNode: root,
  url: root.dataset.document,
  validatorUrl: null,
  plugins: [EmptyForms, PathsWithoutLinks],
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
});
