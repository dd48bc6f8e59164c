/* What is done to each latent, in one pass over a frame; `loops.py` says the same in NumPy, and what it is for.
 *
 * Only the limited API of Python 3.11 is used, so that one wheel serves every later version. Nothing is read or written
 * outside the arrays, whatever they hold. Every operation is rounded once, as IEEE 754 has it: no product is added to
 * anything in its own type, so none can be fused with a sum.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define BUFFERS 3

static void release(Py_buffer *buffers)
{
    for (int i = 0; i < BUFFERS; i++)
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
}

static int take(Py_buffer *buffers, PyObject *const *arrays)
{
    for (int i = 0; i < BUFFERS; i++)
        if (PyObject_GetBuffer(arrays[i], &buffers[i], i < BUFFERS - 1 ? PyBUF_CONTIG_RO : PyBUF_CONTIG)) {
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

static PyObject *quantise(PyObject *module, PyObject *args)
{
    PyObject *arrays[BUFFERS];
    Py_buffer buffers[BUFFERS] = {{0}};
    double scale;
    float rounding;
    int limit;
    if (!PyArg_ParseTuple(args, "OOdfiO", &arrays[0], &arrays[1], &scale, &rounding, &limit, &arrays[2])
        || take(buffers, arrays))
        return NULL;
    const double *coefficients = buffers[0].buf;
    const int64_t *order = buffers[1].buf;
    int32_t *latents = buffers[2].buf;
    Py_ssize_t each = buffers[1].len / 8, all = 0, batch = 0;
    if (buffers[2].len && buffers[1].len) {
        batch = buffers[2].len / 4 / each;
        all = batch ? buffers[0].len / 8 / batch : 0;
    }
    if (buffers[2].len != 4 * batch * each || buffers[0].len != 8 * batch * all)
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

    if (wrong)
        return refuse(buffers);
    release(buffers);
    Py_RETURN_NONE;
}

static PyObject *symbols(PyObject *module, PyObject *args)
{
    PyObject *arrays[BUFFERS];
    Py_buffer buffers[BUFFERS] = {{0}};
    if (!PyArg_ParseTuple(args, "OOO", &arrays[0], &arrays[1], &arrays[2]) || take(buffers, arrays))
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

static PyMethodDef methods[] = {
    {"quantise", quantise, METH_VARARGS, "quantise(coefficients, order, scale, rounding, limit, latents)"},
    {"symbols", symbols, METH_VARARGS, "symbols(latents, largest, symbols) -> escaped"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_loops", "The bottleneck's loops.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__loops(void)
{
    return PyModuleDef_Init(&definition);
}
