"""What is deployed: a folder of JSON, safetensors and ONNX, hashed, versioned, loaded without executing anything.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``.
"""
