// Upload a CSV with the client that @hey-api/openapi-ts makes; print the results of its images.
// Run as: node built/program.js BASE_URL CSV
import { getDetails, getStatus, upload, type Image, type Problem, type Status } from "./client";
import { createClient, createConfig } from "./client/client";

declare const process: { argv: string[]; exit(code: number): never };

const ACTIVE: ReadonlyArray<Status["status"]> = ["PENDING", "PROCESSING"];
const [, , baseUrl = "", csv = ""] = process.argv;
const client = createClient(createConfig({ baseUrl }));

async function submit(): Promise<string> {
  const file = new File([csv], "products.csv", { type: "text/csv" });
  const { data, error } = await upload({ client, body: { file, format: "webp", quality: 60 } });
  if (error) return end(error);
  if (!data || !("request_id" in data)) throw new Error("This was no dry run.");
  return data.request_id;
}

async function finished(request_id: string): Promise<Status> {
  for (;;) {
    const { data, error } = await getStatus({ client, path: { request_id }, query: { wait: 10 } });
    if (error) return end(error);
    if (data && !ACTIVE.includes(data.status)) return data;
  }
}

function end(problem: Problem): never {
  console.error(`${problem.status} ${problem.code}`);
  return process.exit(1);
}

function shown(image: Image) {
  return {
    input_url: image.input_url,
    output_url: image.output_url,
    output_bytes: image.output_bytes,
    output_format: image.output_format,
    error: image.error?.code ?? null,
  };
}

async function main(): Promise<void> {
  const status = await finished(await submit());
  const { data, error } = await getDetails({
    client, path: { request_id: status.request_id }, query: { per_page: 10 },
  });
  if (error) return end(error);
  console.log(JSON.stringify({
    request_id: status.request_id,
    status: status.status,
    failures: status.errors.map((failure): [string, number] => [failure.code, failure.count]),
    images: data?.images.map(shown),
  }));
}

void main();
