export async function documents() {}
