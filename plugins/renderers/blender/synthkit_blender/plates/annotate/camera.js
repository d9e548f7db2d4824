// SPDX-License-Identifier: Apache-2.0
// The camera of a photo, as synthkit.camera.FisheyeCamera: theta(r) = c1 r + c2 r^2 + c3 r^3 + c4 r^4.

const STEEPEST = Math.cos((88 * Math.PI) / 180); // as synthkit_blender.plates.space: beyond, the floor is too far away
const STEPS = 1024;

export class Camera {
  constructor(spec) {
    [this.cx, this.cy] = this.circle = spec.circle_px;
    this.coefficients = spec.theta_coefficients;
    this.most = spec.max_theta_rad;
    this.pose = spec.world_from_camera;
    this.radii = new Float64Array(STEPS + 1);
    let r = 0;
    for (let n = 1; n <= STEPS; n++) {
      const wanted = (this.most * n) / STEPS;
      for (let step = 0; step < 12; step++) r -= (this.theta(r) - wanted) / this.slope(r);
      this.radii[n] = r;
    }
  }

  get height() {
    return this.pose[2][3];
  }

  theta(r) {
    const [a, b, c, d] = this.coefficients;
    return r * (a + r * (b + r * (c + r * d)));
  }

  slope(r) {
    const [a, b, c, d] = this.coefficients;
    return a + r * (2 * b + r * (3 * c + r * 4 * d));
  }

  // The pixel of a point in metres, or null outside the field of view.
  project([x, y, z]) {
    const p = this.pose;
    const [dx, dy, dz] = [x - p[0][3], y - p[1][3], z - p[2][3]];
    const [u, v, w] = [0, 1, 2].map((n) => dx * p[0][n] + dy * p[1][n] + dz * p[2][n]);
    const across = Math.hypot(u, v);
    const theta = Math.atan2(across, w);
    if (theta > this.most) return null;
    if (across === 0) return [this.cx, this.cy];
    const place = (theta / this.most) * STEPS;
    const below = Math.min(STEPS - 1, Math.floor(place));
    const r = this.radii[below] + (place - below) * (this.radii[below + 1] - this.radii[below]);
    return [this.cx + (u / across) * r, this.cy + (v / across) * r];
  }

  // Where the ray of a pixel meets the level z, in metres, or null where it does not look down.
  onPlane([px, py], z) {
    const [dx, dy] = [px - this.cx, py - this.cy];
    const r = Math.hypot(dx, dy);
    const theta = this.theta(r);
    if (r > this.radii[STEPS] * 1.0000001) return null;
    const scale = r > 0 ? Math.sin(theta) / r : 0;
    const ray = [dx * scale, dy * scale, Math.cos(theta)];
    const p = this.pose;
    const [x, y, down] = [0, 1, 2].map((n) => p[n][0] * ray[0] + p[n][1] * ray[1] + p[n][2] * ray[2]);
    if (-down < STEEPEST || z >= this.height) return null;
    const along = (z - p[2][3]) / down;
    return [p[0][3] + along * x, p[1][3] + along * y];
  }

  // The pixels along a straight line in metres, which the lens bends; pieces where part of it is out of view.
  line(from, to, pieces = 24) {
    const found = [];
    for (let n = 0; n <= pieces; n++) {
      const share = n / pieces;
      found.push(this.project(from.map((value, axis) => value + share * (to[axis] - value))));
    }
    return found;
  }
}
