# SPDX-License-Identifier: Apache-2.0
"""What the sensor does to a flat grey card and to edges, and what of a plate's sensor people get."""

from __future__ import annotations

import datetime
import re

import attrs
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.composite import Backdrop, composite
from synthkit_blender.config import SensorConfig
from synthkit_blender.develop import Sensor, compressed, develop, grain
from synthkit_blender.light import LUMINANCE, Metered, decode, image_circle, metered, metered_gain, to_bytes, to_srgb
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.plate_sensor import PlateSensor
from synthkit_blender.timestamp import CORNERS, Timestamp


@pytest.fixture(scope="module")
def camera():
    return ceiling_camera(64, 48, 180, 0.2, 2.7, 0)


@pytest.fixture(scope="module")
def large():
    return ceiling_camera(320, 240, 180, 0.2, 2.7, 0)


def neutral(**changes) -> Sensor:
    values = {"exposure_ev": 0.0, "auto_white_balance": 0.0, "white_balance": 0.0, "green_tint": 0.0,
              "saturation": 1.0, "gamma": 1.0, "vignette": 0.0,
              "read_noise": 0.0, "shot_noise": 0.0, "grain_px": 0.0, "blur_px": 0.0, "contrast": 1.0,
              "black_level": 0.0, "sharpening": 0.0}  # fmt: skip
    return Sensor(**{**values, **changes})


def card(camera, level, **changes):
    """Return a developed grey card's pixels (N, 3) in linear light, away from the circle's edge."""
    light = np.full((camera.height_px, camera.width_px, 3), level, np.float32)
    image = develop(light, Metered(1.0), neutral(**changes), camera, np.random.default_rng(0))
    return decode(image)[image_circle(camera)[1] < 0.9]


def test_a_neutral_sensor_keeps_greys_and_blackens_the_outside(camera):
    image = develop(np.full((48, 64, 3), 0.5, np.float32), Metered(0.4), neutral(), camera, np.random.default_rng(0))
    circle, _ = image_circle(camera)
    assert (image[~circle] == 0).all()
    assert set(np.unique(image[circle])) == {124}


@pytest.mark.parametrize(("read", "shot"), [(0.02, 0.0), (0.0, 0.05), (0.01, 0.03)])
@pytest.mark.parametrize("level", [0.15, 0.3, 0.6])
def test_noise_is_as_strong_as_stated_at_each_brightness(large, read, shot, level):
    found = card(large, level, read_noise=read, shot_noise=shot)
    assert found.mean() == pytest.approx(level, rel=0.02)
    assert found.std() == pytest.approx(np.sqrt(read**2 + shot**2 * level), rel=0.06)


@given(st.floats(0, 2.0))
@settings(max_examples=10, deadline=None)
def test_grain_keeps_the_strength_of_noise(grain_px):
    noise = grain((160, 160, 3), grain_px, np.random.default_rng(3))
    assert noise.std() == pytest.approx(1, abs=0.06)
    alike = float((noise[:, :-1] * noise[:, 1:]).mean())
    if grain_px > 0.8:  # for less the kernel is no Gaussian any more
        assert alike == pytest.approx(np.exp(-1 / (4 * grain_px**2)), abs=0.08)


def test_vignette_takes_the_stated_share_at_the_edge(large):
    light = np.full((240, 320, 3), 0.5, np.float32)
    image = decode(develop(light, Metered(1.0), neutral(vignette=0.4), large, np.random.default_rng(0)))[..., 1]
    assert image[120, 160] == pytest.approx(0.5, abs=0.005)
    assert image[120, 160 + 119] == pytest.approx(0.5 * 0.6, abs=0.01)


def test_casts_leave_the_other_channels(camera):
    warm, green = (card(camera, 0.3, **{name: 0.5}).mean(axis=0) for name in ("white_balance", "green_tint"))
    assert warm == pytest.approx([0.3 * 2**0.25, 0.3, 0.3 * 2**-0.25], rel=0.02)
    assert green == pytest.approx([0.3, 0.3 * 2**0.25, 0.3], rel=0.02)


def warm_room(camera):
    """Return greys under a warm lamp, with a window of blue daylight that is too bright for the sensor."""
    rng = np.random.default_rng(2)
    light = rng.uniform(0.05, 0.5, (48, 64, 1)).astype(np.float32) * np.array([1.0, 0.8, 0.55], np.float32)
    light[:12, :20] = (2.0, 2.5, 3.0)
    return light


def test_the_colour_of_the_light_is_metered_in_spite_of_bright_windows(camera):
    light, (circle, _) = warm_room(camera), image_circle(camera)
    red, green, blue = metered(light, circle).cast
    assert (red / green, blue / green) == pytest.approx((1 / 0.8, 0.55 / 0.8), rel=0.01)
    assert np.array([red, green, blue]) @ LUMINANCE == pytest.approx(1)


def test_automatic_white_balance_takes_out_its_share_of_the_cast_and_keeps_the_brightness(camera):
    light, (circle, radius) = warm_room(camera), image_circle(camera)
    seen = attrs.evolve(metered(light, circle), gain=1.0)
    grey = (radius < 0.9) & (light[..., 0] < 0.6)
    shown = {
        share: decode(develop(light, seen, neutral(auto_white_balance=share), camera, np.random.default_rng(0)))[grey]
        for share in (0.0, 0.5, 1.0)
    }
    ratios = [shown[share].mean(axis=0)[0] / shown[share].mean(axis=0)[2] for share in shown]
    assert ratios == pytest.approx([1 / 0.55, (1 / 0.55) ** 0.5, 1.0], rel=0.02)
    brightness = [float((shown[share] @ LUMINANCE).mean()) for share in shown]
    assert brightness == pytest.approx([brightness[0]] * 3, rel=0.01)


def test_the_dark_has_no_cast():
    assert metered(np.zeros((4, 4, 3), np.float32), np.ones((4, 4), bool)).cast == (1.0, 1.0, 1.0)


def ramp(camera, **changes):
    """Return the tones of a ramp of 64 sRGB values along the middle row."""
    light = np.tile(decode(np.arange(64, dtype=np.uint8)[None, :, None] * 4 + 2), (48, 1, 3)).astype(np.float32)
    straight_down = ceiling_camera(64, 48, 180, 0, 2.7, 0)
    shown = develop(light, Metered(1.0), neutral(**changes), straight_down, np.random.default_rng(0))
    return shown[24, 8:56, 1].astype(int)


def test_tone_curves_bend_as_they_say(camera):
    plain = ramp(camera)
    steep, lifted, dark = ramp(camera, contrast=1.6), ramp(camera, black_level=0.1), ramp(camera, gamma=1.3)
    middle = int(np.abs(plain - 128).argmin())
    assert abs(steep[middle] - plain[middle]) <= 2
    slopes = [int(tones[middle + 4] - tones[middle - 4]) for tones in (plain, steep)]
    assert slopes[1] / slopes[0] == pytest.approx(1.6, abs=0.15)
    assert (lifted >= plain).all()
    assert lifted[0] == pytest.approx(25 + 0.9 * plain[0], abs=2)
    assert (dark < plain).all()
    for tones in (plain, steep, lifted, dark):
        assert (np.diff(tones) >= 0).all()


def edge(camera, **changes):
    light = np.full((camera.height_px, camera.width_px, 3), 0.1, np.float32)
    light[:, camera.width_px // 2 :] = 0.5
    image = develop(light, Metered(1.0), neutral(**changes), camera, np.random.default_rng(0))
    return image[camera.height_px // 2, :, 1].astype(int)


def test_blur_widens_edges_and_sharpening_makes_halos(camera):
    plain, soft, sharp = edge(camera), edge(camera, blur_px=2.0), edge(camera, sharpening=1.0)
    steps = np.diff(plain[16:48]), np.diff(soft[16:48])
    places = np.arange(31)
    spread = [np.sqrt((s * (places - (s * places).sum() / s.sum()) ** 2).sum() / s.sum()) for s in steps]
    assert spread[0] == 0
    assert spread[1] == pytest.approx(2.0, abs=0.35)
    assert sharp.min() < plain[plain > 0].min() - 10
    assert sharp.max() > plain.max() + 10
    assert sharp[20] == plain[20]


def test_compression_leaves_blocks_and_more_of_them_at_lower_quality():
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (64, 64, 3)).astype(np.float32), (0, 0), 2).astype(np.uint8)
    errors = [np.abs(compressed(picture, quality).astype(int) - picture).mean() for quality in (95, 60, 10)]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_sensors_follow_their_ranges_and_each_value_has_a_stream_of_its_own():
    config = structure(SensorConfig, {"jpeg_quality": [30, 40], "compressed_share": 1.0, "timestamp_share": 1.0})
    drawn = [Sensor.sample(config, Seeds(n)) for n in range(60)]
    for name in ("vignette", "blur_px", "shot_noise", "contrast", "sharpening"):
        low, high = getattr(config, name)
        values = [getattr(sensor, name) for sensor in drawn]
        assert low <= min(values) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(values) <= high
    assert {sensor.jpeg_quality for sensor in drawn} == set(range(30, 41))
    other = Sensor.sample(structure(SensorConfig, {"blur_px": [3, 3], "timestamp_share": 0.0}), Seeds(5))
    assert (other.vignette, other.contrast) == (drawn[5].vignette, drawn[5].contrast)
    assert (other.blur_px, other.timestamp) == (3, None)
    assert drawn[0].plain["timestamp"] == drawn[0].timestamp.text


def test_the_clock_of_a_clip_goes_on():
    config = structure(SensorConfig, {"timestamp_share": 1.0})
    for number in range(20):
        first, later = (Sensor.sample(config, Seeds(number), time_s) for time_s in (0.0, 61.25))
        assert (later.timestamp.moment - first.timestamp.moment).total_seconds() == 61.25
        assert first.timestamp.text != later.timestamp.text
        assert first.timestamp.corner == later.timestamp.corner
    shown = attrs.evolve(
        first.timestamp, style="%H:%M:%S:%f", moment=datetime.datetime(2020, 1, 1, 23, 59, 59, 900_000)
    )
    assert shown.later(0.15).text.endswith("00:00:00:0050")


def test_shares_of_scenes_have_timestamps_and_compression():
    config = structure(SensorConfig, {"timestamp_share": 0.3, "compressed_share": 0.7})
    drawn = [Sensor.sample(config, Seeds(n)) for n in range(200)]
    assert np.mean([sensor.timestamp is not None for sensor in drawn]) == pytest.approx(0.3, abs=0.09)
    assert np.mean([sensor.jpeg_quality is not None for sensor in drawn]) == pytest.approx(0.7, abs=0.09)


@pytest.mark.parametrize("number", range(12))
def test_timestamps_stay_in_their_corner(number):
    stamp = Timestamp.sample(Seeds(number).stream("timestamp"))
    assert re.search(r"\d\d:\d\d", stamp.text)
    for width, height in ((448, 336), (96, 72)):
        grey = np.full((height, width, 3), 90, np.uint8)
        rows, columns = np.nonzero((stamp.drawn(grey) != 90).any(axis=-1))
        assert rows.size
        assert (rows.max() < 0.2 * height) if stamp.corner.startswith("top") else (rows.min() > 0.8 * height)
        assert columns.max() < width
        left, right = columns.min(), width - 1 - columns.max()
        assert (left <= right + 2) if stamp.corner.endswith("left") else (right <= left + 2)
    assert stamp.corner in CORNERS


def test_the_meter_keeps_highlights(camera):
    circle, _ = image_circle(camera)
    light = np.full((48, 64, 3), 0.02, np.float32)
    light[:, :32] = 9.0
    assert light.max() * metered_gain(light, circle) <= 0.86


def test_srgb_round_trip():
    levels = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (1, 1, 3))
    assert np.array_equal(to_bytes(to_srgb(decode(levels)), np.ones((1, 256), bool)), levels)


def test_a_plate_without_people_and_shadows_stays_as_it_is(camera):
    circle, _ = image_circle(camera)
    rng = np.random.default_rng(1)
    plate = rng.integers(0, 255, (48, 64, 3), np.uint8)
    lit = np.ones((24, 32, 4), np.float32)
    noisy = PlateSensor(1.0, np.full((3, 8), 0.1, np.float32), 0.5)
    image = composite(
        np.zeros((48, 64, 4), np.float32), lit, lit, Backdrop.of(plate, camera, noisy), neutral(), camera, rng
    )
    assert np.array_equal(image[circle], plate[circle])
    darker = composite(
        np.zeros((48, 64, 4), np.float32), lit * 0.5, lit, Backdrop.of(plate, camera, noisy), neutral(), camera, rng
    )
    assert (darker[circle] <= plate[circle]).all()


def room_photo(large, *, noise=0.0, grain_px=0.0, blur_px=0.0, chroma=0.0):
    """Return a made plate: walls, tables and a textured carpet, blurred and then noisy in sRGB's values."""
    rng = np.random.default_rng(7)
    # Drawn large and shrunk, so that edges lie at all places within pixels.
    canvas = np.full((960, 1280, 3), 0.62, np.float32)
    canvas[420:, :] = 0.30 + 0.05 * rng.standard_normal((540, 1280, 1)).astype(np.float32)
    for n in range(30):
        centre, size = rng.integers(100, (1180, 860)).tolist(), rng.integers(40, 160, 2).tolist()
        corners = cv2.boxPoints((centre, size, float(rng.uniform(0, 90))))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], (0.15 + 0.025 * n,) * 3)
    picture = cv2.resize(canvas, (320, 240), interpolation=cv2.INTER_AREA)
    if blur_px:
        picture = cv2.GaussianBlur(picture, (0, 0), blur_px)
    picture = picture + noise * grain((240, 320, 1), grain_px, rng).reshape(240, 320, 1)
    picture = picture + chroma * grain((240, 320, 3), grain_px, rng)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("blur_px", [0.8, 1.2, 2.0])
def test_the_blur_of_a_plate_is_found(large, blur_px):
    found = PlateSensor.of(room_photo(large, blur_px=blur_px, noise=0.01), image_circle(large)[0])
    assert found.blur_px == pytest.approx(blur_px, rel=0.25)


def test_a_sharp_plate_is_found_sharp(large):
    assert PlateSensor.of(room_photo(large, noise=0.005), image_circle(large)[0]).blur_px < 0.5


@pytest.mark.parametrize(("noise", "grain_px"), [(0.01, 0.0), (0.03, 0.0), (0.03, 0.7), (0.02, 1.0)])
def test_the_noise_of_a_plate_is_found(large, noise, grain_px):
    found = PlateSensor.of(room_photo(large, noise=noise, grain_px=grain_px), image_circle(large)[0])
    assert found.spreads[0, 4] / np.sqrt(3) == pytest.approx(noise, rel=0.25)  # where the walls are
    assert found.spreads[1:].max() < 0.3 * noise
    assert found.grain_px == pytest.approx(grain_px, abs=0.25)


def test_coloured_noise_of_a_plate_is_found(large):
    found = PlateSensor.of(room_photo(large, chroma=0.03), image_circle(large)[0])
    white = np.random.default_rng(0).standard_normal((200, 200, 3)).astype(np.float32)
    noise = found.noise(np.full((200, 200), 0.6, np.float32), white)
    assert noise[..., 0].std() == pytest.approx(0.03, rel=0.3)
    assert noise[..., 2].std() == pytest.approx(0.03, rel=0.3)


def test_noisy_coverage_at_peoples_edges_is_smoothed_and_the_rest_stays_sharp(large):
    clean = PlateSensor(0.0, np.zeros((3, 8), np.float32), 0.0)
    rng = np.random.default_rng(0)
    people = np.zeros((240, 320, 4), np.float32)
    people[60:180, 100:220] = (0.02, 0.02, 0.02, 1.0)
    people[100:140, 140:180:2, :3] = 0.3  # stripes within
    people[60:180, 99, :3], people[60:180, 99, 3] = 0.01, rng.choice([0.2, 0.5, 0.8], 120)  # as few paths leave it
    lit, plate = np.full((120, 160, 4), 0.5, np.float32), np.full((240, 320, 3), 180, np.uint8)
    image = composite(people, lit, lit, Backdrop.of(plate, large, clean), neutral(), large, rng)
    column = image[62:178, 99, 1].astype(float)
    rough = decode(plate)[0, 0, 1] * (1 - people[62:178, 99, 3])
    assert column.std() < 0.7 * (to_srgb(rough) * 255).std()
    inside = image[110:130, 150:170, 1].astype(int)
    assert np.ptp(inside, axis=1).min() > 75, "stripes are as sharp as they were rendered"


def test_rendered_lamps_leave_no_colour_on_people_in_a_grey_plate(large):
    lamp = np.array([1.0, 0.8, 0.5], np.float32)
    people = np.zeros((240, 320, 4), np.float32)
    people[60:180, 90:230] = (*0.3 * lamp, 1.0)
    lit = np.ones((120, 160, 4), np.float32)
    lit[..., :3] = 0.4 * lamp
    grey, clean = np.full((240, 320, 3), 150, np.uint8), PlateSensor(0.0, np.zeros((3, 8), np.float32), 0.0)
    reddish = np.full((240, 320, 3), (170, 150, 140), np.uint8)
    skin = {}
    for name, plate, share in (("off", grey, 0.0), ("on", grey, 1.0), ("red", reddish, 1.0)):
        sensor = neutral(auto_white_balance=share)
        image = composite(people, lit, lit, Backdrop.of(plate, large, clean), sensor, large, np.random.default_rng(0))
        skin[name] = decode(image)[120, 160]
    assert skin["off"][0] / skin["off"][2] == pytest.approx(2, rel=0.03)
    assert skin["on"][0] / skin["on"][2] == pytest.approx(1, rel=0.03)
    assert skin["on"] @ LUMINANCE == pytest.approx(skin["off"] @ LUMINANCE, rel=0.03)
    assert 1.1 < skin["red"][0] / skin["red"][2] < decode(reddish)[0, 0, 0] / decode(reddish)[0, 0, 2]


@pytest.mark.parametrize("plate", [0, 128, 255])
def test_a_flat_plate_gives_no_noise_and_no_blur(large, plate):
    found = PlateSensor.of(np.full((240, 320, 3), plate, np.uint8), image_circle(large)[0])
    assert (found.blur_px, found.grain_px, float(np.abs(found.spreads).max())) == (0, 0, pytest.approx(0, abs=1e-4))


def test_people_look_as_the_plates_sensor_sees(large):
    """A grey card instead of a person: as noisy as the wall around it, its edges as blurred as the plate's."""
    plate = room_photo(large, noise=0.015, grain_px=0.7, blur_px=1.5)
    people = np.zeros((240, 320, 4), np.float32)
    people[60:180, 90:230] = (0.9, 0.9, 0.9, 1.0)
    lit = np.full((120, 160, 4), 0.5, np.float32)
    sensor = PlateSensor.of(plate, image_circle(large)[0])
    image = composite(people, lit, lit, Backdrop.of(plate, large, sensor), neutral(), large, np.random.default_rng(0))
    card = image[75:165, 105:215].astype(np.float32) / 255
    assert card.mean(axis=-1).std() == pytest.approx(0.015, rel=0.25)
    alike = np.corrcoef(card[:, :-1, 1].ravel(), card[:, 1:, 1].ravel())[0, 1]
    assert alike == pytest.approx(np.exp(-1 / (4 * 0.7**2)), abs=0.12)
    profile = np.diff(image[80:160, 75:105, 1].mean(axis=0))
    places = np.arange(len(profile))
    middle = (profile * places).sum() / profile.sum()
    spread = np.sqrt((profile * (places - middle) ** 2).sum() / profile.sum())
    assert 0.9 < spread < 1.7, "the blur is in linear light, so that its edge in the bytes is not quite as wide"
    apart = np.abs(image.astype(int) - plate) * image_circle(large)[0][..., None]
    assert apart[:50].max() == 0
    assert apart[:, :75].max() == 0
