// What a phone adds to an answer: photos, and where it is.

import type { Position } from "../schema";

const LONGEST_PX = 1600; // legible, and half a megabyte
const QUALITY = 0.8;
const POSITION_MS = 20_000;

/** A photo as it is sent: a JPEG of at most 1600 pixels a side. Drawing it anew drops what the camera wrote into it, such as where it was taken. Raises for what is no picture. */
export async function shrunk(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return await new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("not drawn"))), "image/jpeg", QUALITY));
}

/**
 * Where the phone is. Raises when it does not say.
 *
 * Browsers tell WGS 84, the platform keeps CGCS2000: the two differ by less than a metre, and a phone knows its place to some metres.
 */
export function here(): Promise<Position> {
  return new Promise((resolve, reject) => {
    if (!("geolocation" in navigator)) return reject(new Error("no geolocation"));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve({ longitude: coords.longitude, latitude: coords.latitude, accuracy_m: coords.accuracy }),
      (error) => reject(new Error(error.message)),
      { enableHighAccuracy: true, timeout: POSITION_MS, maximumAge: 30_000 },
    );
  });
}
