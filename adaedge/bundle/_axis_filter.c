/* One axis of a picture resized, in one pass; `axis_filter.py` says the same in NumPy, and what it is for.
 *
 * Only the limited API of Python 3.11 is used, so that one wheel serves every later version. Nothing is read or written
 * outside the arrays, whatever they hold. All is in integers.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS 4
#define CHANNELS 3
#define ONE_BITS 14                 /* a weight of 1 is 2**14 */
#define ROWS 16
#define BLOCK (ROWS * CHANNELS)     /* so many sums at a time: they fit the processor's registers */
#define UNFIT "the arrays of an axis's filter do not fit each other"

static PyObject *ended(Py_buffer *buffers, const char *wrong)
{
    for (int i = 0; i < BUFFERS; i++)
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
    if (wrong) {
        PyErr_SetString(PyExc_ValueError, wrong);
        return NULL;
    }
    Py_INCREF(Py_None);
    return Py_None;
}

/* The weighted sum of `bytes` values, of each the ones below it, `down` apart, rounded to levels. */
static void block_of(const uint8_t *from, Py_ssize_t down, const int16_t *weights, Py_ssize_t taps, Py_ssize_t bytes,
                     uint8_t *levels)
{
    int32_t sums[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        sums[i] = 1 << (ONE_BITS - 1);
    for (Py_ssize_t tap = 0; tap < taps; tap++, from += down) {
        int16_t weight = weights[tap];
        if (bytes == BLOCK)         /* a number that the compiler knows */
            for (int i = 0; i < BLOCK; i++)
                sums[i] += weight * (int16_t)from[i];
        else
            for (Py_ssize_t i = 0; i < bytes; i++)
                sums[i] += weight * (int16_t)from[i];
    }
    for (int i = 0; i < BLOCK; i++) {
        int32_t level = sums[i] >> ONE_BITS;
        levels[i] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
}

/* What both functions are given: 0, or -1 and an exception. */
static int take(PyObject *args, Py_buffer *b)
{
    PyObject *objects[BUFFERS];
    if (!PyArg_ParseTuple(args, "OOOO", &objects[0], &objects[1], &objects[2], &objects[3]))
        return -1;
    if (PyObject_GetBuffer(objects[0], &b[0], PyBUF_STRIDED_RO) || PyObject_GetBuffer(objects[1], &b[1], PyBUF_ND)
        || PyObject_GetBuffer(objects[2], &b[2], PyBUF_ND)
        || PyObject_GetBuffer(objects[3], &b[3], PyBUF_ND | PyBUF_WRITABLE)) {
        ended(b, NULL);
        return -1;
    }
    if (b[0].ndim != 3 || b[0].itemsize != 1 || b[0].shape[2] != CHANNELS || b[1].ndim != 1 || b[1].itemsize != 4
        || b[2].ndim != 2 || b[2].itemsize != 2 || b[1].shape[0] != b[2].shape[0] || b[3].ndim != 3
        || b[3].itemsize != 1 || b[3].shape[2] != CHANNELS) {
        ended(b, UNFIT);
        return -1;
    }
    return 0;
}

/* Whether a filter stays within an axis. */
static int within(const Py_buffer *b, Py_ssize_t length)
{
    const int32_t *first = b[1].buf;
    for (Py_ssize_t at = 0; at < b[1].shape[0]; at++)
        if (first[at] < 0 || first[at] > length - b[2].shape[1])
            return 0;
    return 1;
}

static PyObject *rows(PyObject *module, PyObject *args)
{
    Py_buffer b[BUFFERS] = {{0}};
    if (take(args, b))
        return NULL;
    Py_ssize_t down = b[0].strides[0], across = b[0].shape[1], made = b[2].shape[0], taps = b[2].shape[1];
    if (b[0].strides[2] != 1 || b[0].strides[1] != CHANNELS || b[3].shape[0] != made || b[3].shape[1] != across
        || !within(b, b[0].shape[0]))
        return ended(b, UNFIT);
    const int32_t *first = b[1].buf;
    const int16_t *weights = b[2].buf;
    const uint8_t *pixels = b[0].buf;
    uint8_t *result = b[3].buf;
    Py_ssize_t bytes = across * CHANNELS;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < made; at++, weights += taps, result += bytes)
        for (Py_ssize_t x = 0; x < bytes; x += BLOCK) {
            uint8_t levels[BLOCK];
            Py_ssize_t wide = bytes - x < BLOCK ? bytes - x : BLOCK;
            block_of(pixels + first[at] * down + x, down, weights, taps, wide, levels);
            memcpy(result + x, levels, wide);
        }
    Py_END_ALLOW_THREADS

    return ended(b, NULL);
}

/* So many rows side by side: of each column their pixels, one below the other. */
static void turn(const uint8_t *from, const Py_buffer *picture, Py_ssize_t high, uint8_t *turned)
{
    const Py_ssize_t *strides = picture->strides;
    for (Py_ssize_t x = 0; x < picture->shape[1]; x++, from += strides[1], turned += BLOCK)
        for (Py_ssize_t i = 0; i < high; i++)
            for (int channel = 0; channel < CHANNELS; channel++)
                turned[i * CHANNELS + channel] = from[i * strides[0] + channel * strides[2]];
}

static PyObject *columns(PyObject *module, PyObject *args)
{
    Py_buffer b[BUFFERS] = {{0}};
    if (take(args, b))
        return NULL;
    Py_ssize_t height = b[0].shape[0], length = b[0].shape[1], made = b[2].shape[0], taps = b[2].shape[1];
    if (b[3].shape[0] != height || b[3].shape[1] != made || !within(b, length))
        return ended(b, UNFIT);
    uint8_t *turned = calloc(length, BLOCK);
    if (!turned) {
        ended(b, NULL);
        return PyErr_NoMemory();
    }
    const int32_t *first = b[1].buf;
    const int16_t *weights = b[2].buf;
    uint8_t *result = b[3].buf;
    Py_ssize_t bytes = made * CHANNELS;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t y = 0; y < height; y += ROWS) {
        Py_ssize_t high = height - y < ROWS ? height - y : ROWS;
        turn((const uint8_t *)b[0].buf + y * b[0].strides[0], &b[0], high, turned);
        for (Py_ssize_t at = 0; at < made; at++) {
            uint8_t levels[BLOCK], *to = result + y * bytes + at * CHANNELS;
            block_of(turned + first[at] * BLOCK, BLOCK, weights + at * taps, taps, BLOCK, levels);
            for (Py_ssize_t i = 0; i < high; i++, to += bytes)
                for (int channel = 0; channel < CHANNELS; channel++)
                    to[channel] = levels[i * CHANNELS + channel];
        }
    }
    Py_END_ALLOW_THREADS

    free(turned);
    return ended(b, NULL);
}

static PyMethodDef methods[] = {
    {"rows", rows, METH_VARARGS, "rows(pixels, first, weights, made)"},
    {"columns", columns, METH_VARARGS, "columns(pixels, first, weights, made)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_axis_filter", "One axis of a picture resized.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__axis_filter(void)
{
    return PyModuleDef_Init(&definition);
}
