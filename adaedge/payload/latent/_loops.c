/* What is done to each latent, in one pass over a frame; `loops.py` says the same in NumPy, and what it is for.
 *
 * Only the limited API of Python 3.11 is used, so that one wheel serves every later version. Nothing is read or written
 * outside the arrays, whatever they hold. Every operation is rounded once, as IEEE 754 has it: no product is added to
 * anything in its own type, so none can be fused with a sum.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define BUFFERS 8                   /* no loop has more */

static void release(Py_buffer *buffers)
{
    for (int i = 0; i < BUFFERS; i++)
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
}

/* The memory of so many arrays, of which the last ones are filled in: 0, or -1 and an exception. */
static int take(Py_buffer *buffers, PyObject *const *arrays, int count, int filled)
{
    for (int i = 0; i < count; i++)
        if (PyObject_GetBuffer(arrays[i], &buffers[i], i < count - filled ? PyBUF_CONTIG_RO : PyBUF_CONTIG)) {
            release(buffers);
            return -1;
        }
    return 0;
}

static PyObject *refuse(Py_buffer *buffers)
{
    release(buffers);
    PyErr_SetString(PyExc_ValueError, "the arrays of the bottleneck's loops do not fit each other");
    return NULL;
}

static PyObject *done(Py_buffer *buffers, int wrong)
{
    if (wrong)
        return refuse(buffers);
    release(buffers);
    Py_RETURN_NONE;
}

static PyObject *quantise(PyObject *module, PyObject *args)
{
    PyObject *arrays[BUFFERS];
    Py_buffer buffers[BUFFERS] = {{0}};
    double scale;
    float rounding;
    int limit;
    if (!PyArg_ParseTuple(args, "OOdfiO", &arrays[0], &arrays[1], &scale, &rounding, &limit, &arrays[2])
        || take(buffers, arrays, 3, 1))
        return NULL;
    const double *coefficients = buffers[0].buf;
    const int64_t *order = buffers[1].buf;
    int32_t *latents = buffers[2].buf;
    Py_ssize_t each = buffers[1].len / 8, batch = each ? buffers[2].len / 4 / each : 0;
    Py_ssize_t all = batch ? buffers[0].len / 8 / batch : 0;
    if (buffers[2].len != 4 * batch * each || (batch && buffers[0].len != 8 * batch * all))
        return refuse(buffers);
    int wrong = 0;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t sample = 0; sample < batch && !wrong; sample++, coefficients += all, latents += each)
        for (Py_ssize_t i = 0; i < each; i++) {
            if ((wrong = order[i] < 0 || order[i] >= all))
                break;
            float value = (float)(coefficients[order[i]] * scale);
            value += value < 0 ? -rounding : rounding;
            value = value > limit ? limit : value < -limit ? -limit : value;
            latents[i] = (int32_t)value;
        }
    Py_END_ALLOW_THREADS

    return done(buffers, wrong);
}

static PyObject *symbols(PyObject *module, PyObject *args)
{
    PyObject *arrays[BUFFERS];
    Py_buffer buffers[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "OOO", &arrays[0], &arrays[1], &arrays[2]) || take(buffers, arrays, 3, 1))
        return NULL;
    if (buffers[0].len != buffers[1].len || buffers[0].len != buffers[2].len)
        return refuse(buffers);
    const uint32_t *latents = buffers[0].buf, *largest = buffers[1].buf;
    uint32_t *made = buffers[2].buf;
    Py_ssize_t count = buffers[0].len / 4, escaped = 0;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t symbol = latents[i] + largest[i], escape = 2 * largest[i] + 1;
        escaped += symbol >= escape;        /* what is negative is huge without a sign */
        made[i] = symbol < escape ? symbol : escape;
    }
    Py_END_ALLOW_THREADS

    release(buffers);
    return PyLong_FromSsize_t(escaped);
}

/* The sum of the bytes of a coefficient's neighbours; a place outside the array says that there is none. Without a
 * branch: nobody could foresee it. */
static uint32_t around(const uint8_t *bytes, uint32_t count, const uint32_t *places, Py_ssize_t each, Py_ssize_t all)
{
    uint32_t sum = 0;
    for (Py_ssize_t i = 0; i < all; i += each) {
        uint32_t is_there = places[i] < count;
        sum += bytes[is_there ? places[i] : 0] & (0u - is_there);
    }
    return sum;
}

static PyObject *scores(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "OOOOOOO", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5], &o[6]) || take(b, o, 7, 1))
        return NULL;
    const uint8_t *activity = b[0].buf;
    const uint32_t *near = b[1].buf, *classes = b[2].buf;
    const int32_t *of_class = b[3].buf, *of_activity = b[4].buf, *of_around = b[5].buf;
    int32_t *made = b[6].buf;
    Py_ssize_t count = b[0].len, places = b[1].len / 4, rows = b[3].len / 4;  /* where count is 0, nothing is read */
    if (b[2].len != 4 * count || b[4].len != 4 * 256 || b[5].len != 4 * 256 || b[6].len != 4 * count
        || (count ? places % count : places))
        return refuse(b);
    int wrong = 0;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t half = around(activity, count, near + i, count, places) >> 1;
        if ((wrong = classes[i] >= rows))
            break;
        made[i] = of_class[classes[i]] + of_activity[activity[i]] + of_around[half < 255 ? half : 255];
    }
    Py_END_ALLOW_THREADS

    return done(b, wrong);
}

static PyObject *rows(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    int base, shift, tables;
    if (!PyArg_ParseTuple(args, "OOOOOOiiiO", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5], &base, &shift, &tables, &o[6])
        || take(b, o, 7, 1))
        return NULL;
    const int32_t *known = b[0].buf, *of_near = b[4].buf, *held = b[5].buf;
    const uint8_t *sizes = b[1].buf, *first = b[3].buf;
    const uint32_t *near = b[2].buf;
    uint32_t *made = b[6].buf;
    Py_ssize_t count = b[0].len / 4, places = b[2].len / 4, least = b[4].len / 8;
    if (!b[1].len || b[3].len != count || b[5].len != 4 * count || b[6].len != 4 * count || least < 1 || shift < 0
        || shift > 31 || (count ? places % count : places))
        return refuse(b);
    int wrong = 0;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t moved = around(sizes, b[1].len, near + i, count, places);
        if ((wrong = first[i] > least))
            break;
        int32_t row = (known[i] + of_near[first[i] + (moved < least ? moved : least - 1)] + base) >> shift;
        row = row < 0 ? 0 : row < tables ? row : tables - 1;
        made[i] = row + (held[i] ? tables : 0);
    }
    Py_END_ALLOW_THREADS

    return done(b, wrong);
}

static PyObject *choose(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    double scale;
    int limit, escape;
    if (!PyArg_ParseTuple(args, "OOdOOOiiOOO", &o[0], &o[1], &scale, &o[2], &o[3], &o[4], &limit, &escape, &o[5], &o[6],
                          &o[7])
        || take(b, o, 8, 3))
        return NULL;
    const double *coefficients = b[0].buf;
    const uint64_t *order = b[1].buf;
    const int32_t *held = b[2].buf;
    const uint32_t *table = b[3].buf;
    const float *thresholds = b[4].buf;
    int32_t *changes = b[5].buf, *made = b[6].buf;
    uint8_t *sizes = b[7].buf;
    Py_ssize_t count = b[1].len / 8, all = b[0].len / 8, tables = b[4].len / 4, moved = 0, escaped = 0;
    for (int i = 2; i < 8; i++)
        if (i != 4 && b[i].len != (i < 7 ? 4 : 1) * count)
            return refuse(b);
    int wrong = 0;

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        if ((wrong = order[i] >= all || table[i] >= tables))
            break;
        float apart = (float)(coefficients[order[i]] * scale) - held[i];
        float far = apart < 0 ? -apart : apart;
        changes[i] = made[i] = sizes[i] = 0;
        if (!(far >= thresholds[table[i]]))
            continue;
        float most = 2.0f * limit, whole = far + 0.5f;
        int32_t by = whole < 1 ? 1 : (int32_t)(whole < most ? whole : most);
        int32_t next = held[i] + (apart < 0 ? -by : by);
        next = next > limit ? limit : next < -limit ? -limit : next;
        int32_t change = next - held[i], turned = held[i] > 0 ? -change : change;
        int32_t symbol = turned > 0 ? 2 * turned - 1 : -2 * turned;
        changes[i] = change;
        sizes[i] = change < -1 || change > 1 ? 2 : change != 0;
        made[i] = symbol < escape ? symbol : escape;
        moved += change != 0;
        escaped += symbol >= escape;
    }
    Py_END_ALLOW_THREADS

    if (wrong)
        return refuse(b);
    release(b);
    return Py_BuildValue("(nn)", moved, escaped);
}

static PyObject *after(PyObject *module, PyObject *args)
{
    PyObject *o[BUFFERS];
    Py_buffer b[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "OOOOO", &o[0], &o[1], &o[2], &o[3], &o[4]) || take(b, o, 5, 2))
        return NULL;
    const int32_t *held = b[0].buf, *changes = b[1].buf;
    const uint8_t *activity = b[2].buf;
    int16_t *next = b[3].buf;
    uint8_t *made = b[4].buf;
    Py_ssize_t count = b[2].len, moved = 0;
    if (b[0].len != 4 * count || b[1].len != 4 * count || b[3].len != 2 * count || b[4].len != count)
        return refuse(b);

    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t size = changes[i] < 0 ? 0u - (uint32_t)changes[i] : (uint32_t)changes[i];
        next[i] = (int16_t)(held[i] + changes[i]);
        made[i] = activity[i] - ((activity[i] + 3) >> 2) + 16 * (size < 3 ? size : 3);
        moved += size > 0;
    }
    Py_END_ALLOW_THREADS

    release(b);
    return PyLong_FromSsize_t(moved);
}

static PyMethodDef methods[] = {
    {"quantise", quantise, METH_VARARGS, "quantise(coefficients, order, scale, rounding, limit, latents)"},
    {"symbols", symbols, METH_VARARGS, "symbols(latents, largest, symbols) -> escaped"},
    {"scores", scores, METH_VARARGS, "scores(activity, around, classes, of_class, of_activity, of_around, scores)"},
    {"rows", rows, METH_VARARGS, "rows(scores, sizes, near, first_row, of_near, held, base, shift, tables, rows)"},
    {"choose", choose, METH_VARARGS,
     "choose(coefficients, order, scale, held, rows, thresholds, limit, escape, changes, symbols, sizes)"
     " -> (moved, escaped)"},
    {"after", after, METH_VARARGS, "after(held, changes, activity, next_held, next_activity) -> moved"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_loops", "The bottleneck's loops.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__loops(void)
{
    return PyModuleDef_Init(&definition);
}
