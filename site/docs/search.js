// How the documentation is indexed and searched, which is said once.
export const options = {
  idField: "address",
  fields: ["title", "page", "text"],
  storeFields: ["title", "page", "text", "address"],
  searchOptions: { prefix: true, fuzzy: 0.15, combineWith: "AND", boost: { title: 4, page: 1.5 } },
};
