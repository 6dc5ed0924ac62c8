// Does with jsforce what an integration does, against the simulator at SALESFORCE_URL, and prints what it saw as JSON.
const jsforce = require("jsforce");

const url = process.env.SALESFORCE_URL;
const oauth2 = { loginUrl: url, clientId: process.env.SALESFORCE_CLIENT_ID, clientSecret: process.env.SALESFORCE_CLIENT_SECRET };
const failure = (call) => call.then(() => null, (error) => error.errorCode || error.name);

async function main() {
  const seen = {};
  const conn = new jsforce.Connection({ oauth2, instanceUrl: url, version: "58.0" });
  await conn.authorize({ grant_type: "client_credentials" });
  seen.instance = conn.instanceUrl;

  const contacts = await conn.query("SELECT Id, LastName FROM Contact ORDER BY LastName, Id", { autoFetch: true, maxFetch: 100 });
  seen.contacts = contacts.records.length;
  seen.irish = (await conn.sobject("Contact").find({ LastName: "O'Neil" }, ["Id", "LastName"]).limit(3)).map((row) => row.LastName);
  seen.described = (await conn.sobject("Feedback__c").describe()).fields.filter((field) => field.externalId).map((field) => field.name);

  const key = "jsforce/1 with 100%";
  const fields = { Hospient_Id__c: encodeURIComponent(key), Rating__c: 4, Message__c: "Kind staff." };
  const first = await conn.sobject("Feedback__c").upsert(fields, "Hospient_Id__c");
  const second = await conn.sobject("Feedback__c").upsert({ ...fields, Rating__c: 5 }, "Hospient_Id__c");
  const stored = await conn.sobject("Feedback__c").retrieve(first.id);
  seen.upsert = { same: first.id === second.id, created: [first.created, second.created], rating: stored.Rating__c, key: stored.Hospient_Id__c };

  const many = await conn.sobject("Contact").create([{ LastName: "Almeida" }, { FirstName: "Nameless" }]);
  seen.collection = many.map((result) => (result.success ? "created" : result.errors[0].statusCode));
  const before = new Date(Date.now() - 3600 * 1000);
  await conn.sobject("Contact").destroy(many[0].id);
  const log = await conn.sobject("Contact").deleted(before.toISOString(), new Date(Date.now() + 1000).toISOString());
  seen.deleted = log.deletedRecords.map((row) => row.id === many[0].id);

  seen.errors = [
    await failure(conn.query("SELECT Nothing__c FROM Contact")),
    await failure(conn.query("SELECT Id FRO Contact")),
    await failure(conn.sobject("Contact").retrieve("003000000000000AAA")),
  ];
  seen.usage = conn.limitInfo.apiUsage.limit;

  const renewing = new jsforce.Connection({ oauth2, instanceUrl: url, version: "58.0", accessToken: "expired", refreshToken: process.env.SALESFORCE_REFRESH_TOKEN });
  seen.renewed = (await renewing.sobject("Contact").find({}, ["Id"]).limit(1)).length;
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
