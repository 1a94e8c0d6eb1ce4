// Calls an endpoint as a user of RunPod's client for JavaScript does. Prints one line of JSON for each answer.
//
// node client.mjs SDK BASE_URL STREAMED_JOB
const [sdk, baseUrl, streamed] = process.argv.slice(2);
const { default: runpodSdk } = await import(sdk);
const tell = (name, answer) => console.log(JSON.stringify({ name, answer }));
const endpoint = runpodSdk("key", { baseUrl }).endpoint("local");

tell("runSync", await endpoint.runSync({ input: { n: 1 } }, 3000));
const { id } = await endpoint.run({ input: { n: 2 } });
tell("status", await endpoint.status(id));
tell("cancel", await endpoint.cancel(id));
const chunks = [];
for await (const chunk of endpoint.stream(streamed)) chunks.push(chunk);
tell("stream", chunks);
await endpoint.run({ input: { n: 3 } });
tell("health", await endpoint.health());
tell("purgeQueue", await endpoint.purgeQueue());
const status = async (client, job) => client.status(job).catch((error) => error.response.status);
tell("wrong id", await status(endpoint, "none"));
tell("wrong key", await status(runpodSdk("wrong", { baseUrl }).endpoint("local"), id));
