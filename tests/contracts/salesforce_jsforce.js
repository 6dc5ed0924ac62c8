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
  const made = await conn.sobject("Feedback__c").upsert(fields, "Hospient_Id__c");
  const second = await conn.sobject("Feedback__c").upsert({ ...fields, Rating__c: 5 }, "Hospient_Id__c");
  const stored = await conn.sobject("Feedback__c").retrieve(made.id);
  seen.upsert = { same: made.id === second.id, created: [made.created, second.created], rating: stored.Rating__c, key: stored.Hospient_Id__c };

  const many = await conn.sobject("Contact").create([{ LastName: "Almeida" }, { FirstName: "Nameless" }]);
  seen.collection = many.map((result) => (result.success ? "created" : result.errors[0].statusCode));
  const before = new Date(Date.now() - 3600 * 1000);
  await conn.sobject("Contact").destroy(many[0].id);
  const removed = await conn.sobject("Contact").deleted(before.toISOString(), new Date(Date.now() + 1000).toISOString());
  seen.deleted = removed.deletedRecords.map((row) => row.id === many[0].id);

  seen.errors = [
    await failure(conn.query("SELECT Nothing__c FROM Contact")),
    await failure(conn.query("SELECT Id FRO Contact")),
    await failure(conn.sobject("Contact").retrieve("003000000000000AAA")),
  ];
  seen.usage = conn.limitInfo.apiUsage.limit;

  // Ordinary calls of other kinds.
  const Contact = conn.sobject("Contact");
  const guests = await Contact.find({ $or: [{ LastName: "Silva" }, { LastName: { $like: "Tan%" } }] }, ["Id", "LastName"]).sort({ LastName: 1, Id: -1 });
  const counted = await Contact.count({ $or: [{ LastName: "Silva" }, { LastName: "Tanaka" }] });
  const skipped = await Contact.find({ LastName: "Silva" }, ["Id"]).sort("Id").skip(4).limit(5);
  const first = guests[0];
  const parent = await conn.query("SELECT Id, Guest__r.LastName FROM Feedback__c WHERE Guest__c != null ORDER BY CreatedDate LIMIT 1");
  const children = await Contact.select("Id, LastName").include("Feedback__r").select("Rating__c").end().sort("CreatedDate").limit(1).execute();
  seen.found = { or: guests.length, count: counted, skip: skipped.length, same: (await Contact.findOne({ Id: first.Id }, ["Id"])).Id === first.Id };
  seen.related = { parent: parent.records[0].Guest__r.LastName, children: children[0].Feedback__r.records.map((row) => row.Rating__c) };
  seen.recent = await Contact.count({ CreatedDate: jsforce.SfDate.YESTERDAY }) + (await Contact.count({ CreatedDate: { $gte: jsforce.SfDate.TODAY } })) > 0;

  const pair = (await Contact.create([{ LastName: "One" }, { LastName: "Two" }])).map((result) => result.id);
  const changed = await Contact.update(pair.map((Id) => ({ Id, FirstName: "Rita" })));
  const read = await Contact.retrieve(pair);
  const short = await Contact.retrieve(pair[0].slice(0, 15));
  const upserted = await conn.sobject("Feedback__c").upsert([{ Hospient_Id__c: "many-1", Rating__c: 3 }, { Hospient_Id__c: "many-2", Rating__c: 2 }], "Hospient_Id__c");
  const log = await Contact.updated(before.toISOString(), new Date(Date.now() + 1000).toISOString());
  const gone = await Contact.destroy(pair);
  seen.many = {
    changed: changed.map((result) => result.success),
    read: read.map((row) => row.Name),
    short: short.Id === pair[0],
    upserted: upserted.map((result) => result.created),
    updated: pair.every((id) => log.ids.includes(id)),
    gone: gone.map((result) => result.success),
  };
  const all = await conn.query("SELECT Id FROM Contact WHERE IsDeleted = true", { scanAll: true });
  const page = await conn.query("SELECT Id FROM Contact");
  const next = await conn.queryMore(page.nextRecordsUrl);
  seen.paged = { deleted: all.totalSize >= 3, page: page.records.length, next: next.records.length };
  seen.about = {
    global: (await conn.describeGlobal()).sobjects.map((sobject) => sobject.name),
    user: (await conn.identity()).username,
    limits: Object.keys(await conn.limits()),
    versions: (await conn.request("/services/data")).length > 30,
  };
  seen.absent = [];
  const absent = {
    search: () => conn.search("FIND {Silva} IN ALL FIELDS RETURNING Contact(Id)"),
    explain: () => Contact.find({ LastName: "Silva" }).explain(),
    tooling: () => conn.tooling.query("SELECT Id FROM ApexClass"),
    composite: () => conn.requestPost("/services/data/v58.0/composite", { compositeRequest: [] }),
    recent: () => conn.recent(),
    bulk: () => conn.bulk2.query("SELECT Id FROM Contact"),
  };
  for (const [name, call] of Object.entries(absent)) seen.absent.push([name, await failure(Promise.resolve().then(call))]);

  const renewing = new jsforce.Connection({ oauth2, instanceUrl: url, version: "58.0", accessToken: "expired", refreshToken: process.env.SALESFORCE_REFRESH_TOKEN });
  seen.renewed = (await renewing.sobject("Contact").find({}, ["Id"]).limit(1)).length;
  await conn.logout();
  seen.after = await failure(new jsforce.Connection({ instanceUrl: url, version: "58.0", accessToken: conn.accessToken || "ended" }).query("SELECT Id FROM Contact"));
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
