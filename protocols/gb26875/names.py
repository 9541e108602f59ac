"""The standard's tables as data, in Chinese and English; a code that is missing is reserved or, from 128, the users' own.

The Chinese words are those of tables 4, 5 and 6 as found in two public transcriptions; where these differ from each other by a slip of the pen, the
word is the one that fits. The English words are ours: the standard has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import NamedTuple

from protocols.gb26875.states import ComponentBits, DeviceAction, DeviceBits, SystemAction, SystemBits


class Name(NamedTuple):
    """A name in Chinese and English."""

    zh: str
    en: str


class Quantity(NamedTuple):
    """What an analogue value measures.

    unit: UCUM. steps: how many counts make one unit, the inverse of the resolution. low, high: the range that is valid, in the unit.
    """

    zh: str
    en: str
    unit: str
    steps: int
    low: int
    high: int


SYSTEMS: Mapping[int, Name] = MappingProxyType(
    {
        0: Name("通用", "General"),
        1: Name("火灾报警系统", "Fire alarm system"),
        10: Name("消防联动控制器", "Fire linkage controller"),
        11: Name("消火栓系统", "Hydrant system"),
        12: Name("自动喷水灭火系统", "Sprinkler system"),
        13: Name("气体灭火系统", "Gas extinguishing system"),
        14: Name("水喷雾灭火系统（泵启动方式）", "Water spray system (started by pump)"),
        15: Name("水喷雾灭火系统（压力容器启动方式）", "Water spray system (started by pressure vessel)"),
        16: Name("泡沫灭火系统", "Foam extinguishing system"),
        17: Name("干粉灭火系统", "Dry powder extinguishing system"),
        18: Name("防烟排烟系统", "Smoke control and exhaust system"),
        19: Name("防火门及卷帘系统", "Fire door and shutter system"),
        20: Name("消防电梯", "Firefighters' lift"),
        21: Name("消防应急广播", "Emergency broadcast"),
        22: Name("消防应急照明和疏散指示系统", "Emergency lighting and evacuation signs"),
        23: Name("消防电源", "Fire power supply"),
        24: Name("消防电话", "Fire telephone"),
    }
)

COMPONENTS: Mapping[int, Name] = MappingProxyType(
    {
        0: Name("通用", "General"),
        1: Name("火灾报警控制器", "Fire alarm control unit"),
        10: Name("可燃气体探测器", "Combustible gas detector"),
        11: Name("点型可燃气体探测器", "Point combustible gas detector"),
        12: Name("独立式可燃气体探测器", "Stand-alone combustible gas detector"),
        13: Name("线型可燃气体探测器", "Line combustible gas detector"),
        16: Name("电气火灾监控报警器", "Electrical fire monitor"),
        17: Name("剩余电流式电气火灾监控探测器", "Residual current electrical fire detector"),
        18: Name("测温式电气火灾监控探测器", "Temperature electrical fire detector"),
        21: Name("探测回路", "Detection loop"),
        22: Name("火灾显示盘", "Fire display panel"),
        23: Name("手动火灾报警按钮", "Manual call point"),
        24: Name("消火栓按钮", "Hydrant button"),
        25: Name("火灾探测器", "Fire detector"),
        30: Name("感温火灾探测器", "Heat detector"),
        31: Name("点型感温火灾探测器", "Point heat detector"),
        32: Name("点型感温火灾探测器（S型）", "Point heat detector (type S)"),
        33: Name("点型感温火灾探测器（R型）", "Point heat detector (type R)"),
        34: Name("线型感温火灾探测器", "Line heat detector"),
        35: Name("线型感温火灾探测器（S型）", "Line heat detector (type S)"),
        36: Name("线型感温火灾探测器（R型）", "Line heat detector (type R)"),
        37: Name("光纤感温火灾探测器", "Optical fibre heat detector"),
        40: Name("感烟火灾探测器", "Smoke detector"),
        41: Name("点型离子感烟火灾探测器", "Point ionisation smoke detector"),
        42: Name("点型光电感烟火灾探测器", "Point photoelectric smoke detector"),
        43: Name("线型光束感烟火灾探测器", "Beam smoke detector"),
        44: Name("吸气式感烟火灾探测器", "Aspirating smoke detector"),
        50: Name("复合式火灾探测器", "Combined fire detector"),
        51: Name("复合式感烟感温火灾探测器", "Combined smoke and heat detector"),
        52: Name("复合式感光感温火灾探测器", "Combined flame and heat detector"),
        53: Name("复合式感光感烟火灾探测器", "Combined flame and smoke detector"),
        61: Name("紫外火焰探测器", "Ultraviolet flame detector"),
        62: Name("红外火焰探测器", "Infrared flame detector"),
        69: Name("感光火灾探测器", "Flame detector"),
        74: Name("气体探测器", "Gas detector"),
        78: Name("图像摄像方式火灾探测器", "Video fire detector"),
        79: Name("感声火灾探测器", "Acoustic fire detector"),
        81: Name("气体灭火控制器", "Gas extinguishing controller"),
        82: Name("消防电气控制装置", "Electrical fire control device"),
        83: Name("消防控制室图形显示装置", "Graphic display of the fire control room"),
        84: Name("模块", "Module"),
        85: Name("输入模块", "Input module"),
        86: Name("输出模块", "Output module"),
        87: Name("输入/输出模块", "Input and output module"),
        88: Name("中继模块", "Relay module"),
        91: Name("消防水泵", "Fire pump"),
        92: Name("消防水箱", "Fire water tank"),
        95: Name("喷淋泵", "Sprinkler pump"),
        96: Name("水流指示器", "Water flow indicator"),
        97: Name("信号阀", "Signal valve"),
        98: Name("报警阀", "Alarm valve"),
        99: Name("压力开关", "Pressure switch"),
        101: Name("阀驱动装置", "Valve drive"),
        102: Name("防火门", "Fire door"),
        103: Name("防火阀", "Fire damper"),
        104: Name("通风空调", "Ventilation and air conditioning"),
        105: Name("泡沫液泵", "Foam concentrate pump"),
        106: Name("管网电磁阀", "Solenoid valve of the pipe network"),
        111: Name("防烟排烟风机", "Smoke control and exhaust fan"),
        113: Name("排烟防火阀", "Smoke exhaust fire damper"),
        114: Name("常闭送风口", "Normally closed air inlet"),
        115: Name("排烟口", "Smoke outlet"),
        116: Name("电控挡烟垂壁", "Electrically controlled smoke curtain"),
        117: Name("防火卷帘控制器", "Fire shutter controller"),
        118: Name("防火门监控器", "Fire door monitor"),
        121: Name("报警装置", "Alarm device"),
    }
)

ANALOGUES: Mapping[int, Quantity] = MappingProxyType(
    {
        1: Quantity("事件计数", "Count of events", "1", 1, 0, 32_000),
        2: Quantity("高度", "Height", "m", 100, 0, 320),
        3: Quantity("温度", "Temperature", "Cel", 10, -273, 3_200),
        4: Quantity("压力", "Pressure", "MPa", 10, 0, 3_200),
        5: Quantity("压力", "Pressure", "kPa", 10, 0, 3_200),
        6: Quantity("气体浓度", "Gas concentration", "%{LEL}", 10, 0, 100),
        7: Quantity("时间", "Time", "s", 1, 0, 32_000),
        8: Quantity("电压", "Voltage", "V", 10, 0, 3_200),
        9: Quantity("电流", "Current", "A", 10, 0, 3_200),
        10: Quantity("流量", "Flow", "L/s", 10, 0, 3_200),
        11: Quantity("风量", "Air flow", "m3/min", 10, 0, 3_200),
        12: Quantity("风速", "Air speed", "m/s", 1, 0, 20),
    }
)

BITS: Mapping[type[IntFlag], Mapping[int, Name]] = MappingProxyType(
    {
        SystemBits: MappingProxyType(
            {
                SystemBits.NORMAL: Name("正常运行", "Normal"),
                SystemBits.FIRE: Name("火警", "Fire"),
                SystemBits.FAULT: Name("故障", "Fault"),
                SystemBits.SHIELDED: Name("屏蔽", "Shielded"),
                SystemBits.SUPERVISED: Name("监管", "Supervised"),
                SystemBits.STARTED: Name("启动（开启）", "Started (open)"),
                SystemBits.FEEDBACK: Name("反馈", "Feedback"),
                SystemBits.DELAYED: Name("延时", "Delayed"),
                SystemBits.MAIN_POWER_FAULT: Name("主电故障", "Main power fault"),
                SystemBits.BACKUP_POWER_FAULT: Name("备电故障", "Backup power fault"),
                SystemBits.BUS_FAULT: Name("总线故障", "Bus fault"),
                SystemBits.MANUAL: Name("手动", "Manual"),
                SystemBits.SETUP_CHANGED: Name("配置改变", "Setup changed"),
                SystemBits.RESET: Name("复位", "Reset"),
            }
        ),
        ComponentBits: MappingProxyType(
            {
                ComponentBits.NORMAL: Name("正常运行", "Normal"),
                ComponentBits.FIRE: Name("火警", "Fire"),
                ComponentBits.FAULT: Name("故障", "Fault"),
                ComponentBits.SHIELDED: Name("屏蔽", "Shielded"),
                ComponentBits.SUPERVISED: Name("监管", "Supervised"),
                ComponentBits.STARTED: Name("启动（开启）", "Started (open)"),
                ComponentBits.FEEDBACK: Name("反馈", "Feedback"),
                ComponentBits.DELAYED: Name("延时", "Delayed"),
                ComponentBits.POWER_FAULT: Name("电源故障", "Power fault"),
            }
        ),
        DeviceBits: MappingProxyType(
            {
                DeviceBits.NORMAL: Name("正常监视", "Normal"),
                DeviceBits.FIRE: Name("火警", "Fire"),
                DeviceBits.FAULT: Name("故障", "Fault"),
                DeviceBits.MAIN_POWER_FAULT: Name("主电故障", "Main power fault"),
                DeviceBits.BACKUP_POWER_FAULT: Name("备电故障", "Backup power fault"),
                DeviceBits.CENTRE_LINK_FAULT: Name("与监控中心通信信道故障", "Fault of the link to the centre"),
                DeviceBits.LINE_FAULT: Name("监测连接线路故障", "Fault of the monitored line"),
            }
        ),
        SystemAction: MappingProxyType(
            {
                SystemAction.RESET: Name("复位", "Reset"),
                SystemAction.SILENCED: Name("消音", "Silenced"),
                SystemAction.MANUAL_ALARM: Name("手动报警", "Manual alarm"),
                SystemAction.ALARM_CLEARED: Name("警情消除", "Alarm cleared"),
                SystemAction.SELF_TEST: Name("自检", "Self test"),
                SystemAction.ACKNOWLEDGED: Name("确认", "Acknowledged"),
                SystemAction.TEST: Name("测试", "Test"),
            }
        ),
        DeviceAction: MappingProxyType(
            {
                DeviceAction.RESET: Name("复位", "Reset"),
                DeviceAction.SILENCED: Name("消音", "Silenced"),
                DeviceAction.MANUAL_ALARM: Name("手动报警", "Manual alarm"),
                DeviceAction.ALARM_CLEARED: Name("警情消除", "Alarm cleared"),
                DeviceAction.SELF_TEST: Name("自检", "Self test"),
                DeviceAction.PATROL_ANSWERED: Name("查岗应答", "Patrol check answered"),
                DeviceAction.TEST: Name("测试", "Test"),
            }
        ),
    }
)


def names_of(bits: IntFlag) -> tuple[Name, ...]:
    """Return the names of the bits that are set in a state or an operation of `protocols.gb26875.states`, lowest first."""
    return tuple(name for bit, name in BITS[type(bits)].items() if bits & bit)
