"""Small videos: of codecs that OpenCV writes; of H.264, from blocks that are not compressed; of HEVC, which it cannot write."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_video(path: Path, frames: Sequence[np.ndarray], codec: str, rate: float = 20) -> Path:
    """Write ``(rows, columns, 3)`` RGB frames."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (columns, rows))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def u(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}"

    def ue(self, *values: int) -> None:
        """Unsigned Exp-Golomb codes (ITU-T H.264, 9.1)."""
        for value in values:
            self.text += f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}"

    def align(self) -> None:
        self.text += "0" * (-len(self.text) % 8)

    def unit(self, kind: int) -> bytes:
        """A NAL unit: stop bit, emulation prevention (7.4.1)."""
        self.text += "1"
        self.align()
        body, zeros = bytearray([0x60 | kind]), 0
        for byte in int(self.text, 2).to_bytes(len(self.text) // 8, "big"):
            if zeros >= 2 and byte <= 3:
                body.append(3)
                zeros = 0
            body.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes(body)


def h264(luma: Sequence[np.ndarray]) -> bytes:
    """A stream of H.264 (annex B) of grey frames ``(rows, columns)``, multiples of 16, every macroblock as it is (I_PCM)."""
    rows, columns = luma[0].shape
    parameters = _Bits()
    for value in (66, 0xC0, 30):
        parameters.u(value, 8)
    parameters.ue(0, 0, 2, 1)
    parameters.u(0, 1)
    parameters.ue(columns // 16 - 1, rows // 16 - 1)
    parameters.u(0b1000, 4)
    picture = _Bits()
    picture.ue(0, 0)
    picture.u(0, 2)
    picture.ue(0, 0, 0)
    picture.u(0, 3)
    picture.ue(0, 0, 0)
    picture.u(0b100, 3)
    stream = parameters.unit(7) + picture.unit(8)
    for number, frame in enumerate(luma):
        bits = _Bits()
        bits.ue(0, 7, 0)
        bits.u(0, 4)
        bits.ue(number % 2)
        bits.u(0, 2)
        bits.ue(0, 1)
        for row in range(0, rows, 16):
            for column in range(0, columns, 16):
                bits.ue(25)
                bits.align()
                block = frame[row : row + 16, column : column + 16].tobytes() + bytes([128]) * 128
                bits.u(int.from_bytes(block, "big"), 8 * len(block))
        stream += bits.unit(5)
    return stream


HEVC = {
    "107": base64.b85decode(
        b"00001KmiN^|NjAC00093kN^M!000939+i*@00001LID8*U;qFE0FVFx0{{R603M(qgBDp?E=;ay2mk;B00;m80|3ZC00001L;=Bb"
        b"(1`#50Vn~l3E(6I$S?cT3UY~Zm;U!O1GW6**Z=$q0I8WMggj_rL7te>wonRrd%KkW000010s+twSA;Qy(CZ7u?f*`>_V}GGxBvhE"
        b"0RREuB)^6?k%`Cv000330nj1UeMB%}JnIcR;eMc+vJ=-Q0000100H1;wf#mlk%`C"
    ),
    "108": base64.b85decode(
        b"00001KmiN^|NjCY00093kN^M!000939+i*@00001LID8+AOHXZ0FVFx0{{R603M(qgA-+ylH|(ffPer10|0;k01Six0003*0l{<7"
        b"i2wirC;_ht;3Nd<i~kIWw2yCJ{qC8EYqh5%|NTeBB7GKN000010s+twSA;Qy(CZ7u?f*`;JOGin0000100H16zlJxFiO2u|009C4"
        b"&>_`*L@;4I>kT{MexRDJhQ{y!000310pMn}{YEvBiO2"
    ),
}
"""Streams of the profiles Main (8 bits) and Main 10, by the last number of their transfer syntax: 5 frames of 64x48, white on
the left; on the right luma of 16, 56, 96, 136 and 176; the lower half has a V of 160 (of 256), which is red."""
