/* A shared library in two versions: -DVERSION=2 has a sensor more. Made for the tests of x86-64
 * relocation, under the licence of the program:
 *
 *     gcc -O2 -shared -fPIC -s -Wl,--build-id=none -nostartfiles -DVERSION=1 library.c -o v1.so
 */
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define KEPT static __attribute__((noinline))

typedef struct {
    const char *name, *unit;
    int32_t low, high, last;
    uint32_t errors;
} sensor;

static uint32_t events;
static const char *last_message;

KEPT void note(sensor *s, const char *message) {
    events++;
    if (s)
        s->errors++;
    last_message = message;
}

KEPT int32_t median(int32_t a, int32_t b, int32_t c) {
    int32_t t;
    if (a > b)
        t = a, a = b, b = t;
    if (b > c)
        b = a > c ? a : c;
    return b;
}

/* One kind of sensor: its state, its limits, what is said about it. */
#define SENSOR(NAME, UNIT, LOW, HIGH, GAIN, OFFSET)                                                                        \
    static sensor NAME##_sensor = {#NAME, UNIT, LOW, HIGH, 0, 0};                                                          \
    static int32_t NAME##_history[3];                                                                                      \
    KEPT int32_t NAME##_scale(int32_t raw) { return (raw * (GAIN) >> 8) + (OFFSET); }                                      \
    EXPORT int32_t NAME##_read(int32_t raw) {                                                                              \
        int32_t value = NAME##_scale(raw);                                                                                 \
        NAME##_history[2] = NAME##_history[1];                                                                             \
        NAME##_history[1] = NAME##_history[0];                                                                             \
        NAME##_history[0] = value;                                                                                         \
        value = median(NAME##_history[2], value, NAME##_history[1]);                                                       \
        if (value < NAME##_sensor.low)                                                                                     \
            note(&NAME##_sensor, #NAME " is too low, in " UNIT);                                                           \
        else if (value > NAME##_sensor.high)                                                                               \
            note(&NAME##_sensor, #NAME " is too high, in " UNIT);                                                          \
        return NAME##_sensor.last = value;                                                                                 \
    }                                                                                                                      \
    EXPORT const char *NAME##_name(void) { return NAME##_sensor.name; }

SENSOR(air_temperature, "millidegrees", -40000, 85000, 100, -50000)
SENSOR(water_temperature, "millidegrees", 0, 60000, 92, -11000)
SENSOR(oil_temperature, "millidegrees", -20000, 140000, 131, -42000)
SENSOR(air_pressure, "pascals", 30000, 110000, 301, 20000)
SENSOR(water_pressure, "pascals", 100000, 900000, 1024, 0)
SENSOR(oil_pressure, "pascals", 50000, 600000, 777, 123)
SENSOR(humidity, "permille", 0, 1000, 17, 3)
SENSOR(light, "lux", 0, 120000, 640, 0)
SENSOR(wind, "millimetres a second", 0, 60000, 211, -17)
SENSOR(rain, "micrometres", 0, 5000, 3, 0)
#if VERSION == 2
SENSOR(snow, "millimetres", 0, 4000, 5, 1)
#endif
SENSOR(voltage, "millivolts", 9000, 16000, 65, 12)
SENSOR(current, "milliamperes", -40000, 40000, 190, -3200)
SENSOR(charge, "permille", 100, 1000, 4, 0)
SENSOR(fuel, "millilitres", 2000, 60000, 255, 10)
SENSOR(speed, "millimetres a second", 0, 45000, 177, 0)
SENSOR(engine, "revolutions a minute", 500, 6500, 33, 0)
SENSOR(heading, "millidegrees", 0, 360000, 1440, 0)
SENSOR(vibration, "milligrams", 0, 900, 7, -1)
SENSOR(noise, "millibels", 0, 9000, 28, 250)

/* Reads all of them. */
EXPORT int64_t read_all(const int32_t *raw) {
    int64_t sum = 0;
    sum += air_temperature_read(raw[0]) + water_temperature_read(raw[1]) + oil_temperature_read(raw[2]);
    sum += air_pressure_read(raw[3]) + water_pressure_read(raw[4]) + oil_pressure_read(raw[5]);
    sum += humidity_read(raw[6]) + light_read(raw[7]) + wind_read(raw[8]) + rain_read(raw[9]);
    sum += voltage_read(raw[10]) + current_read(raw[11]) + charge_read(raw[12]) + fuel_read(raw[13]);
    sum += speed_read(raw[14]) + engine_read(raw[15]) + heading_read(raw[16]) + vibration_read(raw[17]);
#if VERSION == 2
    sum += snow_read(raw[19]);
#endif
    return sum + noise_read(raw[18]);
}

EXPORT const char *message(uint32_t *count) {
    *count = events;
    return last_message;
}
