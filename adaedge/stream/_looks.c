/* What is compared of two frames, in one pass each; `looks.py` says the same in NumPy, and what it is for.
 *
 * Only the limited API of Python 3.11 is used, so that one wheel serves every later version. Nothing is read or written
 * outside the arrays, whatever they hold. All is in integers.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define BUFFERS 4                   /* no function has more */
#define LEVELS 256
#define BLOCK 4                     /* sides of a block */
#define WHOLE 6755399441055744.0    /* 1.5 * 2**52: a sum with it has no fraction */

static PyObject *released(Py_buffer *buffers, PyObject *result)
{
    for (int i = 0; i < BUFFERS; i++)
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
    return result;
}

static PyObject *refuse(Py_buffer *buffers)
{
    PyErr_SetString(PyExc_ValueError, "the arrays of a frame's looks do not fit each other");
    return released(buffers, NULL);
}

/* The memory of so many contiguous arrays of bytes, of which the last ones are filled in: 0, or -1 and an exception. */
static int take(Py_buffer *buffers, PyObject *const *arrays, int count, int filled)
{
    for (int i = 0; i < count; i++)
        if (PyObject_GetBuffer(arrays[i], &buffers[i], PyBUF_ND | (i < count - filled ? 0 : PyBUF_WRITABLE))) {
            released(buffers, NULL);
            return -1;
        }
    return 0;
}

/* The first value up to which half of all are, or more. */
static long middle_of(const uint32_t *counts, int values)
{
    uint64_t all = 0, below = 0;
    for (int i = 0; i < values; i++)
        all += counts[i];
    for (int i = 0; i < values; i++)
        if (2 * (below += counts[i]) >= all)
            return i;
    return values - 1;
}

static PyObject *luma(PyObject *module, PyObject *args)
{
    PyObject *frame, *made;
    Py_buffer b[BUFFERS] = {{0}};
    Py_ssize_t step;
    if (!PyArg_ParseTuple(args, "OnO", &frame, &step, &made))
        return NULL;
    if (PyObject_GetBuffer(frame, &b[0], PyBUF_STRIDED_RO))
        return NULL;
    if (PyObject_GetBuffer(made, &b[1], PyBUF_ND | PyBUF_WRITABLE))
        return released(b, NULL);
    if (b[0].ndim != 3 || b[0].itemsize != 1 || b[1].ndim != 2 || b[1].itemsize != 1 || step < 1 || b[0].shape[2] != 3
        || !b[0].shape[0] || !b[0].shape[1])
        return refuse(b);
    Py_ssize_t rows = (b[0].shape[0] + step - 1) / step, columns = (b[0].shape[1] + step - 1) / step;
    Py_ssize_t down = b[0].strides[0] * step, right = b[0].strides[1] * step, other = b[0].strides[2];
    Py_ssize_t height = b[1].shape[0], width = b[1].shape[1];
    const uint8_t *pixels = b[0].buf;
    uint8_t *out = b[1].buf;
    if (height < rows || width < columns)
        return refuse(b);

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t y = 0; y < height; y++, out += width) {
        const uint8_t *at = pixels + (y < rows ? y : rows - 1) * down;
        for (Py_ssize_t x = 0; x < columns; x++, at += right)
            out[x] = (uint8_t)((77u * at[0] + 150u * at[other] + 29u * at[2 * other]) >> 8);
        for (Py_ssize_t x = columns; x < width; x++)
            out[x] = out[columns - 1];
    }
    Py_END_ALLOW_THREADS

    Py_INCREF(Py_None);
    return released(b, Py_None);
}

static PyObject *halves(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "O", &o[0]) || take(b, o, 1, 0))
        return NULL;
    const uint8_t *luma = b[0].buf;
    uint32_t counts[LEVELS] = {0};
    for (Py_ssize_t i = 0; i < b[0].len; i++)
        counts[luma[i]]++;
    uint64_t numbers[2] = {0}, sums[2] = {0};
    long middle = middle_of(counts, LEVELS);
    for (int value = 0; value < LEVELS; value++) {
        numbers[value > middle] += counts[value];
        sums[value > middle] += (uint64_t)value * counts[value];
    }
    return released(b, Py_BuildValue("(lKKKK)", middle, (unsigned long long)numbers[0], (unsigned long long)sums[0],
                                     (unsigned long long)numbers[1], (unsigned long long)sums[1]));
}

static PyObject *raised(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    int middle;
    if (!PyArg_ParseTuple(args, "OOi", &o[0], &o[1], &middle) || take(b, o, 2, 0))
        return NULL;
    if (b[0].len != b[1].len)
        return refuse(b);
    const uint8_t *before = b[0].buf, *after = b[1].buf;
    uint32_t counts[2][2 * LEVELS - 1] = {{0}};
    for (Py_ssize_t i = 0; i < b[0].len; i++)
        counts[before[i] > middle][after[i] - before[i] + LEVELS - 1]++;
    long dark = middle_of(counts[0], 2 * LEVELS - 1), bright = middle_of(counts[1], 2 * LEVELS - 1);
    return released(b, Py_BuildValue("(ll)", dark - LEVELS + 1, bright - LEVELS + 1));
}

static PyObject *apart(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "OOOO", &o[0], &o[1], &o[2], &o[3]) || take(b, o, 4, 1))
        return NULL;
    if (b[0].ndim != 2 || b[1].len != b[0].len || b[2].len != LEVELS || b[0].shape[0] % BLOCK || b[0].shape[1] % BLOCK
        || b[3].len * BLOCK * BLOCK != b[0].len)
        return refuse(b);
    const uint8_t *before = b[0].buf, *after = b[1].buf, *lit = b[2].buf;
    Py_ssize_t height = b[0].shape[0], width = b[0].shape[1], across = width / BLOCK;
    uint8_t *largest = b[3].buf;
    uint32_t counts[LEVELS] = {0};

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < b[3].len; i++)
        largest[i] = 0;
    for (Py_ssize_t y = 0; y < height; y++) {
        uint8_t *block = largest + y / BLOCK * across;
        for (Py_ssize_t x = 0; x < width; x++, before++) {
            uint8_t one = *before, other = lit[*after++], by = one < other ? other - one : one - other;
            counts[by]++;
            if (by > block[x / BLOCK])
                block[x / BLOCK] = by;
        }
    }
    Py_END_ALLOW_THREADS

    return released(b, PyLong_FromLong(middle_of(counts, LEVELS)));
}

static PyObject *lit(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    double gain, offset;
    if (!PyArg_ParseTuple(args, "ddO", &gain, &offset, &o[0]) || take(b, o, 1, 1))
        return NULL;
    if (b[0].len != LEVELS)
        return refuse(b);
    uint8_t *made = b[0].buf;
    for (int value = 0; value < LEVELS; value++) {
        volatile double level = gain * value;       /* each by itself: no product is fused with a sum */
        level += offset;
        level += WHOLE;                             /* halves to the even one */
        level -= WHOLE;
        made[value] = level > 0 ? (uint8_t)(level < LEVELS - 1 ? level : LEVELS - 1) : 0;
    }
    Py_INCREF(Py_None);
    return released(b, Py_None);
}

static PyObject *moved(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    double still;
    int most;
    if (!PyArg_ParseTuple(args, "Odi", &o[0], &still, &most) || take(b, o, 1, 0))
        return NULL;
    const uint8_t *largest = b[0].buf;
    uint64_t sum = 0;
    for (Py_ssize_t i = 0; i < b[0].len; i++)
        if (largest[i] > still)
            sum += largest[i] < most ? largest[i] : most;
    return released(b, PyLong_FromUnsignedLongLong(sum));
}

static PyMethodDef methods[] = {
    {"luma", luma, METH_VARARGS, "luma(frame, step, made)"},
    {"halves", halves, METH_VARARGS, "halves(luma) -> (middle, dark count, dark sum, bright count, bright sum)"},
    {"raised", raised, METH_VARARGS, "raised(before, after, middle) -> (dark, bright)"},
    {"apart", apart, METH_VARARGS, "apart(before, after, lit, largest) -> middle"},
    {"lit", lit, METH_VARARGS, "lit(gain, offset, made)"},
    {"moved", moved, METH_VARARGS, "moved(largest, still, most) -> sum"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_looks", "What is compared of two frames.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__looks(void)
{
    return PyModuleDef_Init(&definition);
}
