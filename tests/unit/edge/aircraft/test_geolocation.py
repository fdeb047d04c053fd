from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.paths import REPOSITORY
from tinydet.edge.aircraft.geolocation import (
    Camera,
    GroundPoint,
    Pose,
    ground_error_m,
    locate_pixels,
    offset_position,
    read_camera,
    rotation_from_euler,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.schema import validated

WH = (640, 480)
CENTRE = (320.0, 240.0)


def camera(pitch_deg: float = 0.0, yaw_deg: float = 0.0, distortion: tuple[float, ...] = ()) -> Camera:
    return Camera(
        image_wh_px=WH,
        fx_px=500.0,
        fy_px=500.0,
        cx_px=320.0,
        cy_px=240.0,
        pitch_deg=pitch_deg,
        yaw_deg=yaw_deg,
        distortion=distortion,
    )


def pose(height_m: float = 100.0, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0, lat: float = 0.0) -> Pose:
    rotation = rotation_from_euler(*(math.radians(angle) for angle in (roll, pitch, yaw)))
    return Pose(latitude_deg=lat, longitude_deg=10.0, height_m=height_m, ned_from_body=rotation)


def one(camera: Camera, pose: Pose, pixel: tuple[float, float]) -> GroundPoint:
    (point,) = locate_pixels(camera, pose, np.array([pixel]), WH)
    assert point is not None
    return point


# Worked out by hand on a camera of f = 500 px at 100 m: 100 px from the centre is a slope of 0.2.
@pytest.mark.parametrize(
    ("camera_pitch", "camera_yaw", "attitude", "pixel", "north_east_m"),
    [
        pytest.param(-90, 0, (0, 0, 0), CENTRE, (0, 0), id="nadir, centre"),
        pytest.param(-90, 0, (0, 0, 0), (420, 240), (0, 20), id="nadir, 100 px right is 20 m east"),
        pytest.param(-90, 0, (0, 0, 0), (320, 140), (20, 0), id="nadir, 100 px up is 20 m north"),
        pytest.param(-90, 0, (0, 0, 90), (320, 140), (0, 20), id="nose east: up is east"),
        pytest.param(-90, 0, (0, 0, 90), (420, 240), (-20, 0), id="nose east: right is south"),
        pytest.param(-90, 90, (0, 0, 0), (320, 140), (0, 20), id="camera turned a quarter on the airframe"),
        pytest.param(-45, 0, (0, 0, 0), CENTRE, (100, 0), id="45 degrees: as far as high"),
        pytest.param(-45, 0, (0, 0, 90), CENTRE, (0, 100), id="45 degrees, nose east"),
        pytest.param(
            -45, 0, (0, 0, -135), CENTRE, (-(50**0.5) * 10, -(50**0.5) * 10), id="45 degrees, nose south-west"
        ),
        # Forward slope (1 - .2) / (1 + .2) below the centre: depression 45 + atan(.2).
        pytest.param(-45, 0, (0, 0, 0), (320, 340), (100 * 0.8 / 1.2, 0), id="45 degrees, 100 px down"),
        # The ray (right .2, down 0, forward 1): down is sin 45, right .2 -> .2 * 100 * sqrt 2.
        pytest.param(-45, 0, (0, 0, 0), (420, 240), (100, 20 * 2**0.5), id="45 degrees, 100 px right"),
        pytest.param(0, 0, (0, -30, 0), CENTRE, (100 * 3**0.5, 0), id="the airframe pitched down 30 degrees"),
        pytest.param(-90, 0, (45, 0, 0), CENTRE, (0, -100), id="rolled right by 45: the belly looks left, west"),
    ],
)
def test_cases_worked_out_by_hand(
    camera_pitch: float,
    camera_yaw: float,
    attitude: tuple[float, float, float],
    pixel: tuple[float, float],
    north_east_m: tuple[float, float],
) -> None:
    roll, pitch, yaw = attitude
    point = one(camera(camera_pitch, camera_yaw), pose(roll=roll, pitch=pitch, yaw=yaw), pixel)
    assert (point.north_m, point.east_m) == pytest.approx(north_east_m, abs=1e-9)


@pytest.mark.parametrize(
    ("latitude", "metres_a_degree"),
    # Published lengths of a degree of latitude and of longitude on WGS-84 at the equator, 45 and 60 degrees.
    [(0.0, (110574.276, 111319.491)), (45.0, (111131.778, 78846.806)), (60.0, (111412.241, 55799.979))],
)
def test_degrees_are_as_long_as_the_tables_say(latitude: float, metres_a_degree: tuple[float, float]) -> None:
    north, east = metres_a_degree
    moved = offset_position(latitude, 10.0, north / 1000, east / 1000)
    assert moved == pytest.approx((latitude + 1e-3, 10.001), abs=1e-9)


@pytest.mark.parametrize("latitude", [-70.0, -20.0, 0.0, 51.5])
def test_metres_against_cartesian_coordinates(latitude: float) -> None:
    """Both points in Earth-centred coordinates (another formula), their difference along north and east."""
    phi, lam = math.radians(latitude), math.radians(10.0)
    north = np.array([-math.sin(phi) * math.cos(lam), -math.sin(phi) * math.sin(lam), math.cos(phi)])
    east = np.array([-math.sin(lam), math.cos(lam), 0.0])
    moved = earth_centred(*offset_position(latitude, 10.0, 3.0, -4.0)) - earth_centred(latitude, 10.0)
    assert (moved @ north, moved @ east) == pytest.approx((3.0, -4.0), rel=2e-6)


def earth_centred(latitude: float, longitude: float) -> npt.NDArray[np.float64]:
    a, b = 6378137.0, 6356752.314245
    phi, lam = math.radians(latitude), math.radians(longitude)
    n = a * a / math.hypot(a * math.cos(phi), b * math.sin(phi))
    across = n * math.cos(phi)
    return np.array([across * math.cos(lam), across * math.sin(lam), n * (b / a) ** 2 * math.sin(phi)])


def test_longitude_goes_round() -> None:
    assert offset_position(0.0, 179.9999, 0.0, 111.319491)[1] == pytest.approx(-179.9991, abs=1e-8)


def test_a_latitude_in_degrees() -> None:
    """100 m north of 60 degrees, from the series of the table above: 100 / 111412.24 degrees."""
    point = one(camera(-45), pose(lat=60.0), CENTRE)
    assert point.latitude_deg == pytest.approx(60 + 100 / 111412.241, abs=1e-9)
    assert point.longitude_deg == pytest.approx(10.0, abs=1e-12)


@pytest.mark.parametrize("pitch", [0.0, 20.0, -0.9])
def test_no_position_at_or_above_the_horizon(pitch: float) -> None:
    assert locate_pixels(camera(pitch), pose(), np.array([CENTRE]), WH) == [None]


@pytest.mark.parametrize("height_m", [0.0, -3.0])
def test_no_position_on_the_ground(height_m: float) -> None:
    assert locate_pixels(camera(-90), pose(height_m), np.array([CENTRE, CENTRE]), WH) == [None, None]


def test_there_and_back() -> None:
    """Points on the ground, projected into the image by the camera's own equations and located again."""
    random = np.random.default_rng(4)
    for _ in range(200):
        lens = camera(float(random.uniform(-90, -30)), float(random.uniform(-180, 180)))
        roll, pitch, yaw = (float(random.uniform(-limit, limit)) for limit in (15, 15, 180))
        place = pose(float(random.uniform(5, 500)), roll, pitch, yaw)
        pixel = (float(random.uniform(0, WH[0])), float(random.uniform(0, WH[1])))
        (point,) = locate_pixels(lens, place, np.array([pixel]), WH)
        if point is None:
            continue
        ned = np.array([point.north_m, point.east_m, place.height_m])
        x, y, z = (place.ned_from_body @ lens.body_from_camera).T @ ned
        assert z > 0
        assert (500 * x / z + 320, 500 * y / z + 240) == pytest.approx(pixel, abs=1e-6)


def test_distortion_is_taken_out() -> None:
    """Distort a known ray with OpenCV's published polynomial; the camera must give the ray back."""
    k1, k2, p1, p2, k3 = coefficients = (-0.25, 0.08, 0.001, -0.0005, -0.01)
    x, y = 0.4, -0.3
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    distorted = (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )
    pixel = np.array([[500 * distorted[0] + 320, 500 * distorted[1] + 240]])
    np.testing.assert_allclose(camera(distortion=coefficients).rays(pixel, WH), [[x, y, 1]], atol=1e-7)


def test_frames_of_another_size_are_scaled() -> None:
    small = locate_pixels(camera(-90), pose(), np.array([(210.0, 120.0)]), (320, 240))[0]
    assert small is not None and small.east_m == pytest.approx(20)


def test_error_against_moved_rays() -> None:
    """The first-order error equals the effect of a small change of the attitude."""
    for depression_deg in (90.0, 60.0, 30.0, 15.0):
        step_deg = 1e-4
        expected = ground_error_m(100.0, math.radians(depression_deg), math.radians(step_deg), 1e-12)
        near = one(camera(-depression_deg), pose(), CENTRE)
        far = one(camera(-depression_deg + step_deg), pose(), CENTRE)
        assert far.north_m - near.north_m == pytest.approx(expected, rel=1e-4)


def test_no_pixel_no_point() -> None:
    assert locate_pixels(camera(-90), pose(), np.zeros((0, 2)), WH) == []


TABLE = {"image_wh_px": [640, 480], "fx_px": 500, "fy_px": 500, "cx_px": 320, "cy_px": 240}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx_px": 0}, r"camera\.fx_px: expected a number above 0"),
        ({"distortion": [0.1, 0.2]}, "0, 4, 5 or 8 numbers"),
        ({"mounted_on": "wing"}, "airframe or gimbal"),
        ({"pitch_deg": math.nan}, "finite"),
        ({"image_wh_px": [640]}, "expected 2 values"),
        ({"fov_deg": 80}, "unknown field fov_deg"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validated({**TABLE, **changes}, Camera, source="flight.toml")


def test_settings_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "flight.toml"
    path.write_text("[camera]\nimage_wh_px = [640, 480]\nfx_px = 500\nfy_px = 500\ncx_px = 320\ncy_px = 240\n")
    assert read_camera(path) == camera()
    path.write_text("[lens]\n")
    with pytest.raises(InputError, match="camera"):
        read_camera(path)


def test_the_documented_errors() -> None:
    """The table of docs/geolocation.md: 1 degree, 2 m."""
    text = (REPOSITORY / "docs/geolocation.md").read_text()
    rows = re.findall(r"^\| (\d+)° \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)
    assert len(rows) == 7
    for depression_deg, *errors_m in rows:
        for height_m, documented in zip((30, 60, 120), errors_m, strict=True):
            error_m = ground_error_m(height_m, math.radians(float(depression_deg)), math.radians(1), 2.0)
            assert float(documented) == pytest.approx(error_m, abs=0.051)


@pytest.mark.parametrize(
    "settings",
    [
        "image_wh_px = [0, 480]",
        f"image_wh_px = [{10**18}, 480]",
        "fx_px = 1e300",
        "fx_px = nan",
        "cy_px = -inf",
        "yaw_deg = 1e300",
        "attitude_error_deg = 1e9",
        "height_error_m = 1e300",
        "distortion = [1e300, 0, 0, 0]",
        "distortion = [nan, 0, 0, 0]",
    ],
)
def test_impossible_cameras_are_refused(tmp_path: Path, settings: str) -> None:
    values = {"image_wh_px": "[640, 480]", "fx_px": "500", "fy_px": "500", "cx_px": "320", "cy_px": "240"}
    name, _, value = settings.partition(" = ")
    values[name] = value
    (tmp_path / "camera.toml").write_text("[camera]\n" + "".join(f"{key} = {text}\n" for key, text in values.items()))
    with pytest.raises(InputError, match=f"camera.{name}"):
        read_camera(tmp_path / "camera.toml")


@pytest.mark.parametrize("latitude_deg", [90.0, -90.0, 89.95])
def test_near_a_pole_there_are_no_positions(latitude_deg: float) -> None:
    camera = Camera(image_wh_px=(640, 480), fx_px=500, fy_px=500, cx_px=320, cy_px=240, pitch_deg=-90)
    pose = Pose(latitude_deg=latitude_deg, longitude_deg=9.0, height_m=100.0, ned_from_body=np.eye(3))
    assert locate_pixels(camera, pose, np.array([[320.0, 240.0]]), (640, 480)) == [None]


@pytest.mark.parametrize("distortion", [(1e6, -1e6, 1e6, 1e6), (-50.0, 1e5, 0.0, 0.0)])
def test_positions_are_finite_and_near_whatever_the_lens(distortion: tuple[float, ...]) -> None:
    camera = Camera(
        image_wh_px=(640, 480), fx_px=1e-3, fy_px=500, cx_px=320, cy_px=240, pitch_deg=-40, distortion=distortion
    )
    random = np.random.default_rng(0)
    for height_m in (1.0, 100_000.0):
        pose = Pose(latitude_deg=80.0, longitude_deg=179.99, height_m=height_m, ned_from_body=np.eye(3))
        points = locate_pixels(camera, pose, random.uniform(-1e4, 1e4, (300, 2)), (640, 480))
        for point in points:
            if point is not None:
                assert abs(point.latitude_deg - 80) < 1 and abs(point.longitude_deg) <= 180
                assert math.isfinite(point.error_m) and math.hypot(point.north_m, point.east_m) <= 100_000
