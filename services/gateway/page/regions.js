// Names of regions that a snapshot does not hold: a city's snapshot names its districts, while warnings and sensors stand in streets.

/** The regions right below one, by REST. Raises when the gateway cannot be asked or the token may not see it. */
export async function regionsBelow(code, token) {
  const response = await fetch(`/v1/regions/${encodeURIComponent(code)}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`the regions below ${code}: ${response.status}`);
  return (await response.json()).children;
}
